'use strict'

/**
 * Topics and what is subscribed to. Pure.
 *
 *   topic   = word *( '.' word )
 *   pattern = part *( '.' part )
 *   part    = word | '*' (one word) | '>' (one word or more; only at the end)
 *
 * Topics are compared letter by letter. One that begins with '__' is a message
 * between the two ends and never an event that is passed on.
 */

const RESERVED = '__'

// Each word of a pattern is a node of a tree, and patterns come from peers.
const MAX_WORDS = 16

// No spaces, no control characters, and no half of a surrogate pair: a topic
// stands in scopes, and its UTF-8 must be the same topic again.
const WORD = /^[^.*>\s\p{C}]+$/u

function isWord (part) {
  return WORD.test(part)
}

function isPart (part, i, parts) {
  return part === '*' || isWord(part) || (part === '>' && i === parts.length - 1)
}

function problem (text, max, is, words) {
  if (typeof text !== 'string' || text === '') return 'is no text'
  if (text.length > max) return `is longer than ${max} characters (maxTopic)`
  const parts = text.split('.')
  if (parts.length > MAX_WORDS) return `has more than ${MAX_WORDS} words`
  return parts.every(is) ? null : `is not ${words}`
}

/** Whether text is a topic of at most max characters: null, or what is wrong. */
function topicProblem (text, max) {
  return problem(text, max, isWord, 'words with dots between them, without spaces, * and >')
}

/** The same of a pattern; a topic is a pattern too. */
function patternProblem (text, max) {
  return problem(text, max, isPart, 'words with dots between them; * stands for a word, > at the end for the rest')
}

function isReserved (topic) {
  return topic.startsWith(RESERVED)
}

/**
 * Whether all topics of pattern are topics of granted: may somebody who was
 * granted 'orders.>' subscribe to 'orders.*'?
 */
function covers (granted, pattern) {
  const mine = granted.split('.')
  const theirs = pattern.split('.')
  for (let i = 0; i < mine.length; i++) {
    if (i === theirs.length) return false
    if (mine[i] === '>') return true
    if (theirs[i] === '>' || (mine[i] !== '*' && mine[i] !== theirs[i])) return false
  }
  return mine.length === theirs.length
}

function createNode () {
  return { next: new Map(), values: new Set() }
}

/** Patterns, each with values; the values of all patterns that a topic matches. */
class TopicTree {
  constructor () {
    this._root = createNode()
  }

  add (pattern, value) {
    let node = this._root
    for (const part of pattern.split('.')) {
      if (!node.next.has(part)) node.next.set(part, createNode())
      node = node.next.get(part)
    }
    node.values.add(value)
  }

  /** Leaves no empty branch behind: patterns come from peers. */
  delete (pattern, value) {
    const way = []
    let node = this._root
    for (const part of pattern.split('.')) {
      way.push([node, part])
      node = node.next.get(part)
      if (node === undefined) return
    }
    node.values.delete(value)
    for (const [parent, part] of way.reverse()) {
      const child = parent.next.get(part)
      if (child.values.size > 0 || child.next.size > 0) return
      parent.next.delete(part)
    }
  }

  /** Each value once, whatever the number of its patterns that match. */
  match (topic) {
    const found = new Set()
    const collect = (node) => {
      if (node !== undefined) for (const value of node.values) found.add(value)
    }
    let nodes = [this._root]
    for (const word of topic.split('.')) {
      for (const node of nodes) collect(node.next.get('>'))
      nodes = nodes.flatMap((node) => [node.next.get(word), node.next.get('*')]).filter((node) => node !== undefined)
    }
    nodes.forEach(collect)
    return found
  }

  get isEmpty () {
    return this._root.next.size === 0
  }
}

module.exports = { TopicTree, covers, isReserved, patternProblem, topicProblem }
