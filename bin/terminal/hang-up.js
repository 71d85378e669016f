'use strict'

/**
 * SIGHUP has two meanings. Somebody sends it who wants the files read again, or
 * the server tried at once; and a terminal that is closed sends it to what runs
 * there, whose user has gone.
 *
 *   at home ── SIGHUP, and the terminal is there ───► asked()
 *      │ ───── SIGHUP, and the terminal is gone ────► left(), once
 *      └─ the terminal goes, without a SIGHUP ──► on its own ── SIGHUP ──► asked()
 *
 * Who is on its own was meant to stay, as after `disown`. Nobody tells a process
 * of that, so it looks from time to time; twice, as the signal may still be on
 * its way at the first look. Without a terminal, as under nohup, setsid or
 * systemd, each SIGHUP is somebody's.
 */

const fs = require('fs')
const tty = require('tty')

const LOOK_MS = 5000

const terminalsOf = (isTerminal) => [0, 1, 2].filter((fd) => isTerminal(fd))

/**
 * Gives a function that takes the handler away.
 * @param {object} on { asked, left }: functions
 * @param {object} [world] { isTerminal(fd), lookMs }, for tests
 */
function onHangUp ({ asked, left }, { isTerminal = tty.isatty, lookMs = LOOK_MS } = {}) {
  const terminals = terminalsOf(isTerminal)
  const isGone = () => terminals.some((fd) => !isTerminal(fd))
  let looks = 0 // that have found it gone
  let isOver = false
  const handler = () => {
    if (isOver) return
    if (looks > 1 || !isGone()) return asked()
    isOver = true
    left()
  }
  const timer = terminals.length === 0 ? undefined : setInterval(look, lookMs).unref()
  function look () {
    if (isGone() && ++looks > 1) clearInterval(timer)
  }
  process.on('SIGHUP', handler)
  return () => {
    clearInterval(timer)
    // Shell and kernel may both tell: the second would cut short the end.
    if (!isOver) process.off('SIGHUP', handler)
  }
}

/**
 * At its end Node sets the terminal as it was before, and aborts where that cannot
 * be done. A descriptor that is closed it leaves alone (ResetStdio in node.cc).
 */
function forgetLostTerminals () {
  const terminals = terminalsOf(tty.isatty)
  process.on('exit', () => {
    for (const fd of terminals) if (!tty.isatty(fd)) fs.closeSync(fd)
  })
}

module.exports = { forgetLostTerminals, onHangUp }
