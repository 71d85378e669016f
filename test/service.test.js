'use strict'

const assert = require('assert')
const { createNotifier, inheritedListeners } = require('../lib/service')

describe('service: sockets that were handed over', () => {
  const env = (more) => ({ LISTEN_PID: String(process.pid), LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:b', PATH: '/bin', ...more })

  it('are those from descriptor 3 on, and asked for once', () => {
    const mine = env()
    assert.deepStrictEqual(inheritedListeners(mine), ['fd:3', 'fd:4'])
    assert.deepStrictEqual(mine, { PATH: '/bin' })
    assert.deepStrictEqual(inheritedListeners(mine), [])
  })

  it('are none of another process', () => {
    for (const pid of ['1', '', 'x', `${process.pid} `, undefined]) {
      const theirs = env({ LISTEN_PID: pid })
      assert.deepStrictEqual(inheritedListeners(theirs), [])
      assert.strictEqual(theirs.LISTEN_FDS, '2', 'and stay to be found')
    }
  })

  it('are a bounded number', () => {
    assert.deepStrictEqual(inheritedListeners(env({ LISTEN_FDS: '0' })), [])
    assert.strictEqual(inheritedListeners(env({ LISTEN_FDS: '64' })).length, 64)
    for (const bad of ['65', '-1', '1x', '', '99999999', undefined]) {
      assert.throws(() => inheritedListeners(env({ LISTEN_FDS: bad })), { code: 'ERR_ALKNET_OPTION', message: 'LISTEN_FDS: must be a number of 0 to 64' })
    }
  })
})

describe('service: telling the manager', () => {
  /** A notifier whose messages are kept; failures: codes that the next sends fail with. */
  function notifier (more = {}, failures = []) {
    const sent = []
    const problems = []
    const env = { NOTIFY_SOCKET: '/run/notify', ...more }
    const send = (path, bytes) => {
      const code = failures.shift()
      if (code !== undefined) throw Object.assign(new Error(code), { code })
      sent.push(Object.fromEntries(bytes.toString().trimEnd().split('\n').map((line) => line.split('='))))
    }
    const manager = createNotifier({ env, send, onProblem: (err) => problems.push(err.code) })
    return { manager, sent, problems, env }
  }

  it('says what sd_notify(3) wants to hear, and takes the variables away', () => {
    const { manager, sent, env } = notifier()
    assert.deepStrictEqual(env, {})
    assert.strictEqual(manager.isActive, true)
    manager.ready('listening\non\u001b[2J two')
    manager.status('x'.repeat(1000))
    const before = process.hrtime.bigint() / 1000n
    manager.reloading()
    manager.ready()
    manager.stopping('bye')
    const [ready, status, reloading, again, stopping] = sent
    const pid = String(process.pid)
    assert.strictEqual(ready.READY, '1')
    assert.strictEqual(ready.MAINPID, pid)
    assert.strictEqual(ready.STATUS, 'listening?on?[2J two')
    assert.strictEqual(status.STATUS.length, 200)
    assert(BigInt(reloading.MONOTONIC_USEC) >= before && reloading.RELOADING === '1')
    assert.deepStrictEqual(again, { READY: '1', MAINPID: pid })
    assert.deepStrictEqual(stopping, { STOPPING: '1', STATUS: 'bye' })
    manager.ready('a reload that took longer')
    manager.close()
    assert.strictEqual(sent.length, 5)
  })

  it('is silent when nobody listens, or at an address that it cannot reach', () => {
    for (const path of [undefined, '', '/', 'relative', 'vsock:2:1']) {
      const { manager, sent } = notifier({ NOTIFY_SOCKET: path, WATCHDOG_USEC: '1000' })
      assert.strictEqual(manager.isActive, false)
      manager.ready('x')
      manager.stopping()
      assert.deepStrictEqual(sent, [])
    }
  })

  it('gives signs of life twice as often as they are wanted', async () => {
    const { manager, sent } = notifier({ WATCHDOG_USEC: '20000', WATCHDOG_PID: String(process.pid) })
    assert.deepStrictEqual(sent, [{ WATCHDOG: '1' }], 'the first at once')
    while (sent.length < 4) await new Promise((resolve) => setTimeout(resolve, 5))
    manager.close()
    const count = sent.length
    await new Promise((resolve) => setTimeout(resolve, 30))
    assert.strictEqual(sent.length, count)
  })

  it('gives none that nobody waits for', () => {
    for (const more of [{}, { WATCHDOG_USEC: '0' }, { WATCHDOG_USEC: 'x' }, { WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' }]) {
      const { manager, sent } = notifier(more)
      assert.deepStrictEqual(sent, [])
      assert.strictEqual(manager._watchdog, null)
    }
  })

  it('asks for a watchdog of years without a timer that fires at once', () => {
    const { manager, sent } = notifier({ WATCHDOG_USEC: '9999999999999999' })
    assert.strictEqual(sent.length, 1)
    manager.close()
  })

  it('a manager that is behind hears it later, one that fails is a problem once', async () => {
    const { manager, sent, problems } = notifier({}, ['EAGAIN', 'ENOBUFS', 'EAGAIN'])
    manager.ready('first')
    manager.status('second')
    assert.deepStrictEqual(sent, [])
    // The notifier's own timer holds nobody up; this one is the test's.
    while (sent.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
    assert.deepStrictEqual(sent, [{ READY: '1', MAINPID: String(process.pid), STATUS: 'second' }])
    assert.deepStrictEqual(problems, [])
    const broken = notifier({}, ['ECONNREFUSED', 'ECONNREFUSED'])
    broken.manager.ready()
    broken.manager.status('x')
    assert.deepStrictEqual(broken.problems, ['ECONNREFUSED'])
    broken.manager.stopping()
    assert.deepStrictEqual(broken.sent, [{ STOPPING: '1' }])
  })
})
