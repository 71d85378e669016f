'use strict'

/** How much is measured: from the arguments of `npm run bench`. */

const { parseArgs } = require('util')
const scenes = require('./scenes')
const { SIDES } = require('./sides')

const CIPHERS = {
  'aes128-gcm': 'aes128-gcm@openssh.com',
  'aes256-gcm': 'aes256-gcm@openssh.com',
  chacha20: 'chacha20-poly1305@openssh.com'
}
const WAYS = ['forward', 'socks']

const FULL = {
  rounds: 3, // of what the bars are about
  fewer: 1, // of the others
  size: 1024, // MiB of a transfer
  opens: 5000, // connections
  trips: 5000, // round trips
  channels: 4000, // idle ones
  opensshChannels: 2000,
  slowChannels: 500, // of who opens them in a time that grows with the square
  sessions: 1000,
  httpSeconds: 2,
  links: 3, // long ways
  pathMs: [3000, 7000], // on a long way: when it has begun to run, and the end
  fairMs: [1000, 4000], // the same where there is no long way
  ciphers: Object.values(CIPHERS),
  ways: WAYS,
  sides: Object.keys(SIDES),
  scenes: Object.keys(scenes)
}

// All that is measured, once and little of it: that it works, no more.
const QUICK = {
  ...FULL,
  rounds: 1,
  fewer: 1,
  size: 64,
  opens: 300,
  trips: 300,
  channels: 500,
  opensshChannels: 200,
  slowChannels: 200,
  sessions: 100,
  httpSeconds: 1,
  links: 1,
  pathMs: [500, 1500],
  fairMs: [500, 1500],
  ways: ['forward']
}

const NUMBERS = ['size', 'rounds', 'opens', 'channels', 'sessions']

/** A comma list of which each must be one of all. */
function some (name, text, all) {
  const chosen = text.split(',')
  for (const one of chosen) {
    if (!all.includes(one)) throw new Error(`--${name} takes some of: ${all.join(', ')}`)
  }
  return chosen
}

function count (name, text) {
  const n = Number(text)
  if (!Number.isInteger(n) || n < 1) throw new Error(`--${name} takes a number from 1`)
  return n
}

/**
 * @param {string[]} argv
 * @returns {{ plan: object, isStrict: boolean, docs: boolean }}
 */
function planOf (argv) {
  const text = { type: 'string' }
  const yes = { type: 'boolean' }
  const { values } = parseArgs({
    args: argv,
    options: {
      quick: yes,
      strict: yes,
      docs: yes,
      only: text,
      sides: text,
      ciphers: text,
      ways: text,
      ...Object.fromEntries(NUMBERS.map((name) => [name, text]))
    }
  })
  if (values.quick && values.docs) throw new Error('--docs wants more than --quick measures')
  const plan = { ...(values.quick ? QUICK : FULL) }
  if (values.only !== undefined) plan.scenes = some('only', values.only, FULL.scenes)
  if (values.sides !== undefined) plan.sides = some('sides', values.sides, FULL.sides)
  if (values.ciphers !== undefined) plan.ciphers = some('ciphers', values.ciphers, Object.keys(CIPHERS)).map((name) => CIPHERS[name])
  if (values.ways !== undefined) plan.ways = some('ways', values.ways, WAYS)
  for (const name of NUMBERS) {
    if (values[name] !== undefined) plan[name] = count(name, values[name])
  }
  if (values.rounds !== undefined) plan.fewer = plan.rounds
  return { plan, isStrict: values.strict === true, docs: values.docs === true }
}

module.exports = { planOf }
