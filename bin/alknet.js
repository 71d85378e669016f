#!/usr/bin/env node
'use strict'

/**
 * The command: runs what program.js describes, and turns how it ended into
 * words and an exit code. What the subcommands do is the library's.
 */

const { CommanderError } = require('commander')
const { exitCodeOf } = require('./commands/shared')
const { program } = require('./program')
const { forgetLostTerminals } = require('./terminal/hang-up')
const { lastWord } = require('./terminal/last-word')

async function main () {
  try {
    await program().parseAsync()
  } catch (err) {
    // commander has said what was wrong.
    if (err instanceof CommanderError) return err.exitCode === 0 ? 0 : 2
    process.stderr.write(lastWord(err))
    return exitCodeOf(err)
  }
  return process.exitCode ?? 0
}

// Whoever reads our output may leave, and a terminal be closed; a server does not
// end because of that. What a full disk did not take is told at the end.
let unwritten = null
const hasLeft = ({ code }) => code === 'EPIPE' || (code === 'EIO' && process.stdout.isTTY)
process.stdout.on('error', (err) => { if (!hasLeft(err)) unwritten = err })
process.stderr.on('error', () => {})
process.on('exit', (code) => {
  if (unwritten === null || code !== 0) return
  process.stderr.write(lastWord(Object.assign(unwritten, { message: `not all of the output could be written: ${unwritten.code}` })))
  process.exitCode = 1
})

forgetLostTerminals()
main().then((code) => { process.exitCode = code })
