'use strict'

/** What the bench makes of its samples; that it measures at all is what its --quick shows. */

const assert = require('node:assert')
const { barsOf } = require('../bench/bars')
const { chart } = require('../bench/chart')
const { planOf } = require('../bench/plan')
const { page } = require('../bench/report')
const { jain, percentile, ratio, spread } = require('../bench/stats')

const transfer = (side, round, mibPerSecond, more) => ({
  kind: 'transfer', way: 'forward', cipher: 'aes128-gcm', direction: 'up', side, round, mibPerSecond, cpuPerGiB: 1, ...more
})

const idle = (side, more) => ({
  kind: 'idle', side, round: 0, channels: 4000, seconds: 1.5, kibClient: 0.9, kibServer: 4, tripRatio: 1, p50None: 1, p50All: 1, p99None: 1, p99All: 1, moreASecond: 1, ...more
})

const measured = (samples, plan = { rounds: 2, fewer: 1, size: 64, opens: 300 }) => ({ date: '2026-11-21T20:00:00Z', minutes: 1, load: '0.1', plan, samples })

describe('the bench: figures', () => {
  it('a ratio is the median of those of each round', () => {
    const samples = [
      transfer('native', 0, 100), transfer('openssh', 0, 50),
      transfer('native', 1, 10), transfer('openssh', 1, 10),
      transfer('native', 2, 90), transfer('openssh', 2, 30),
      transfer('native', 3, 90)
    ]
    assert.strictEqual(ratio(samples, { kind: 'transfer' }, 'mibPerSecond', ['native', 'openssh']), 2)
    assert.strictEqual(ratio(samples, { kind: 'transfer' }, 'mibPerSecond', ['native', 'ssh2']), undefined)
  })

  it('Jain\'s index, percentiles and spreads', () => {
    assert.strictEqual(jain([3, 3, 3, 3]), 1)
    assert.strictEqual(jain([5, 0, 0, 0]), 0.25)
    assert.strictEqual(jain([0, 0]), 0)
    assert.strictEqual(percentile([5, 1, 4, 2, 3], 0.5), 3)
    assert.strictEqual(spread([]), '–')
    assert.strictEqual(spread([300, 100, 200]), '200 (100–300)')
  })
})

describe('the bench: bars', () => {
  const found = (samples, what) => barsOf(samples).find((bar) => bar.what.startsWith(what))

  it('are judged by the worst of their figures', () => {
    const bulk = [transfer('native', 0, 150), transfer('openssh', 0, 100), ...[transfer('native', 0, 90), transfer('openssh', 0, 100)].map((one) => ({ ...one, direction: 'down' }))]
    const throughput = found({ bulk }, 'bulk throughput, aes128-gcm, to OpenSSH')
    assert.deepStrictEqual([throughput.found.native, throughput.bar.isMet, throughput.goal.isMet], [0.9, false, false])
    const down = (one) => ({ ...one, direction: 'down' })
    const secured = [transfer('native', 0, 100), transfer('tls', 0, 75), down(transfer('native', 0, 100)), down(transfer('tls', 0, 69))]
    const overTls = found({ bulk: secured }, 'bulk throughput over TLS')
    assert.deepStrictEqual([overTls.found, overTls.bar.isMet], [{ native: 0.69, libssh: undefined }, false])
    const channel = found({ idle: [idle('native'), idle('libssh', { kibServer: 6 })] }, 'RSS per idle channel')
    assert.deepStrictEqual([channel.found, channel.bar.isMet, channel.goal.isMet], [{ native: 4, libssh: 6 }, true, false])
  })

  it('of what was not measured there are none', () => {
    assert.deepStrictEqual(barsOf({}), [])
    assert.deepStrictEqual(barsOf({ bulk: [transfer('native', 0, 1)] }), [])
  })

  it('the loop\'s delay is the worst of every scene, of the engine\'s own ends', () => {
    const late = (side, p99) => ({ kind: 'loop', side, end: 'client', what: 'x', p99 })
    const { found: figures, bar } = found({ bulk: [late('native', 3), late('ssh-native', 99)], open: [late('native', 21), late('libssh', 4)] }, 'event-loop delay')
    assert.deepStrictEqual([figures, bar.isMet], [{ native: 21, libssh: 4 }, false])
  })
})

describe('the bench: what it writes', () => {
  const machine = { cpu: '2 × x', kernel: '6', congestion: 'cubic', node: 'v20', openssh: 'OpenSSH', alknet: 'alknet 0' }
  const scenes = { bulk: measured([transfer('native', 0, 150), transfer('openssh', 0, 100)]), idle: measured([idle('native')]) }

  it('a page with a table for each scene that was measured, and the bars', () => {
    const text = page({ machine, scenes }, { chart: 'x.svg', level: 3 })
    for (const words of ['### The bars', '### Bulk: aes128-gcm', '### Idle channels', '![alknet beside others](x.svg)', '| alknet | 150 | 1.50 |']) assert.ok(text.includes(words), words)
    assert.ok(!text.includes('undefined') && !text.includes('NaN'), text)
  })

  it('a chart in which the longest bar fills its room', () => {
    const svg = chart(scenes)
    assert.match(svg, /^<svg [^>]*>[^]*<\/svg>\n$/)
    const widths = [...svg.matchAll(/<rect x="\d+" y="\d+" width="([\d.]+)"/g)].map(([, width]) => Number(width))
    assert.deepStrictEqual(widths.slice(0, 2), [220, 146.7])
  })
})

describe('the bench: arguments', () => {
  it('choose scenes, sides and sizes', () => {
    const { plan, docs } = planOf(['--only', 'idle,path', '--sides', 'native', '--rounds', '7', '--docs'])
    assert.deepStrictEqual([plan.scenes, plan.sides, plan.rounds, plan.fewer, docs], [['idle', 'path'], ['native'], 7, 7, true])
    assert.deepStrictEqual(planOf(['--quick', '--ciphers', 'chacha20']).plan.ciphers, ['chacha20-poly1305@openssh.com'])
  })

  it('are refused when they say nothing', () => {
    assert.throws(() => planOf(['--only', 'nothing']), /--only takes some of: limits, bulk/)
    assert.throws(() => planOf(['--rounds', '0']), /--rounds takes a number from 1/)
    assert.throws(() => planOf(['--quick', '--docs']), /--docs wants more/)
    assert.throws(() => planOf(['--fast']), /fast/)
  })
})
