'use strict'

/**
 * Random input that can be had again: the seed is printed by whoever uses it,
 * and ALKNET_SEED sets it.
 */

const seed = Number(process.env.ALKNET_SEED ?? Math.floor(Math.random() * 2 ** 31))

/** mulberry32: a generator of 32 bits of state, for tests. */
function createRandom (state = seed) {
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n) => Math.floor(next() * n)
  const pick = (list) => list[below(list.length)]
  return { next, below, pick }
}

const CHARS = [...'abcz019*.:-/[]{}"\'\\=,#_%!? \t\n\r\0\x7f\u00ad\u3002\uff10é\ud800\ufeff']

/** One of the corpus, torn and mended a few times. */
function mutate ({ below, pick }, corpus) {
  let text = pick(corpus)
  for (let n = below(6); n > 0; n--) {
    const at = below(text.length + 1)
    const kind = below(4)
    if (kind === 0) text = text.slice(0, at) + pick(CHARS) + text.slice(at)
    else if (kind === 1) text = text.slice(0, at) + text.slice(at + 1 + below(3))
    else if (kind === 2) text = text.slice(0, at) + pick(corpus).slice(below(10))
    else text = text.slice(0, at) + text.slice(below(text.length + 1)).repeat(1 + below(3))
    text = text.slice(0, 20_000)
  }
  return text
}

module.exports = { createRandom, mutate, seed }
