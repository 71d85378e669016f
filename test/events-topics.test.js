'use strict'

const assert = require('assert')
const { TopicTree, covers, patternProblem, topicProblem } = require('../lib/events/topics')
const { authorizeByScopes } = require('../lib/events/permissions')
const { createIdentity, parseScopes } = require('../lib/identity')
const { createRandom, seed } = require('./helpers/random')

/** Whether a pattern matches a topic, by a regular expression: not as topics.js does it. */
function matches (pattern, topic) {
  const source = pattern.split('.').map((part) => part === '*' ? '[^.]+' : part === '>' ? '.+' : part).join('\\.')
  return new RegExp(`^${source}$`).test(topic)
}

const words = ['a', 'b', 'c']
const topics = (function all (n) {
  if (n === 0) return []
  const shorter = all(n - 1)
  return [...words, ...shorter.flatMap((rest) => words.map((word) => `${word}.${rest}`))]
})(4)

function randomPattern ({ below, pick }) {
  const parts = Array.from({ length: 1 + below(3) }, () => pick([...words, '*']))
  return (below(3) === 0 ? [...parts.slice(1), '>'] : parts).join('.')
}

describe('Topics', () => {
  it('are words with dots between them; patterns have wildcards too', () => {
    for (const good of ['a', 'orders.created', 'user:1.x-y_z/@', 'é.😀', '__subscribe']) assert.strictEqual(topicProblem(good, 255), null, good)
    for (const bad of [undefined, 1, '', '.', 'a.', '.a', 'a..b', 'a b', 'a\n', 'a\u00a0', 'a\u200b', '\ud800', '*', '>', 'a*', 'a.*', 'a.>']) {
      assert.notStrictEqual(topicProblem(bad, 255), null, String(bad))
    }
    for (const good of ['a', '*', '>', 'a.*', '*.a', 'a.>', '*.*.>']) assert.strictEqual(patternProblem(good, 255), null, good)
    for (const bad of ['', 'a.>.b', 'a*', '>>', 'a.**', 'a..>']) assert.notStrictEqual(patternProblem(bad, 255), null, bad)
  })

  it('have a length and a number of words that are bounded', () => {
    assert.strictEqual(topicProblem('aaaa', 4), null)
    assert.match(topicProblem('aaaaa', 4), /maxTopic/)
    assert.match(patternProblem('a.*.>', 4), /maxTopic/)
    assert.strictEqual(patternProblem(Array(16).fill('*').join('.'), 255), null)
    assert.match(patternProblem(Array(17).fill('*').join('.'), 255), /16 words/)
  })

  it(`are found by all patterns that match, and by no other (ALKNET_SEED=${seed})`, () => {
    const random = createRandom()
    for (let round = 0; round < 50; round++) {
      const patterns = [...new Set(Array.from({ length: 12 }, () => randomPattern(random)))]
      const tree = new TopicTree()
      for (const pattern of patterns) tree.add(pattern, pattern)
      for (const topic of topics) {
        assert.deepStrictEqual([...tree.match(topic)].sort(), patterns.filter((pattern) => matches(pattern, topic)).sort(), topic)
      }
      for (const pattern of patterns) tree.delete(pattern, pattern)
      assert(tree.isEmpty, 'nothing stays behind')
    }
  })

  it('give each value once, and keep the others when one goes', () => {
    const tree = new TopicTree()
    for (const pattern of ['a.b', 'a.*', '>']) tree.add(pattern, 'x')
    tree.add('a.b', 'y')
    assert.deepStrictEqual([...tree.match('a.b')].sort(), ['x', 'y'])
    tree.delete('a.b', 'x')
    tree.delete('no.such', 'x')
    tree.delete('>', 'x')
    assert.deepStrictEqual([...tree.match('a.b')].sort(), ['x', 'y'])
    tree.delete('a.*', 'x')
    assert.deepStrictEqual([...tree.match('a.b')], ['y'])
  })

  it(`a pattern covers another when it has all of its topics (ALKNET_SEED=${seed})`, () => {
    for (const [granted, pattern, yes] of [
      ['orders.*', 'orders.*', true], ['orders.*', 'orders.a', true], ['orders.*', 'orders.>', false], ['orders.*', 'orders', false],
      ['orders.>', 'orders.*', true], ['orders.>', 'orders.a.b', true], ['orders.>', 'orders.>', true], ['orders.>', 'orders', false],
      ['orders.>', '*.a', false], ['>', '>', true], ['>', '*.*', true], ['*', '>', false], ['a.b', '*.b', false], ['a.*.c', 'a.>', false], ['*.>', 'a.>', true], ['*.>', '>', false]
    ]) assert.strictEqual(covers(granted, pattern), yes, `${granted} ${pattern}`)
    const random = createRandom()
    for (let round = 0; round < 2000; round++) {
      const [granted, pattern] = [randomPattern(random), randomPattern(random)]
      if (!covers(granted, pattern)) continue
      for (const topic of topics) assert(!matches(pattern, topic) || matches(granted, topic), `${granted} has not all of ${pattern}: ${topic}`)
    }
  })

  it('are granted by scopes, and by nothing else', () => {
    const scopes = parseScopes('topics:publish:orders.*,topics:subscribe:orders.>,topics:subscribe:user:1.x,topics:publish:bad..topic,topics:delete:a,db')
    const identity = createIdentity({ id: 'me', scopes })
    const may = (action, topic) => authorizeByScopes({ identity, action, topic })
    assert.deepStrictEqual(['orders.created', 'orders.a.b', 'orders', 'bad', 'bad..topic', 'db'].map((topic) => may('publish', topic)), [true, false, false, false, false, false])
    assert.deepStrictEqual(['orders.created', 'orders.*', 'orders.>', '>', 'user:1.x', 'orders'].map((topic) => may('subscribe', topic)), [true, true, true, false, true, false])
    assert.strictEqual(authorizeByScopes({ identity: null, action: 'publish', topic: 'a' }), false)
    assert.strictEqual(authorizeByScopes({ identity: createIdentity({ id: 'x' }), action: 'publish', topic: 'a' }), false)
    // Scopes that somebody may still change are no ground for an answer that is kept.
    assert.strictEqual(authorizeByScopes({ identity: { id: 'x', scopes: ['topics:publish:>'] }, action: 'publish', topic: 'a' }), false)
  })
})
