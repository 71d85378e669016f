'use strict'

/**
 * Runs test files, each in a mocha of its own, several at a time.
 *
 *   node tools/mocha-files.js [--jobs n] [--exclude part]... [file or folder...]
 *
 * Without a name: all of test/. Most of a test's time is waiting for programs
 * that it has started, so there are more jobs than processors. Each file has
 * to end by itself, within LIMIT_MS: a handle that is left open is a failure,
 * and says in which file. What a file prints appears when it has ended.
 * A file in which alknet tells where a connection leads fails, too
 * (destinations.js).
 *
 * Into the file of ALKNET_MOCHA_COUNTS go `passed failed skipped` of all, and
 * a line for each failure.
 */

const fs = require('fs')
const os = require('os')
const path = require('path')
const { spawn } = require('child_process')
const { parseArgs } = require('util')
const { destinationsTold } = require('./destinations')

const LIMIT_MS = 20 * 60 * 1000
const MOCHA = path.join(__dirname, '..', 'node_modules', 'mocha', 'bin', 'mocha.js')
const LISTENER = path.join(__dirname, '..', 'test', 'helpers', 'destinations.js')

// The longest first, so that none of them is left alone at the end.
const ORDER = ['soak', 'interop', 'exit', 'hostile', 'attack', 'streams', 'faults']

function filesOf (name) {
  if (!fs.statSync(name).isDirectory()) return [name]
  return fs.readdirSync(name, { withFileTypes: true })
    .filter((entry) => entry.name !== 'node_modules')
    .flatMap((entry) => filesOf(path.join(name, entry.name)))
    .filter((file) => file.endsWith('.test.js'))
}

function rank (file) {
  const at = ORDER.indexOf(path.basename(path.dirname(file)))
  return at === -1 ? ORDER.length : at
}

/** Resolves to { file, output, seconds, counts, failures }. */
function run (file, folder, name) {
  const countsFile = path.join(folder, name)
  const destinations = path.join(folder, `${name}-`)
  return new Promise((resolve) => {
    const start = Date.now()
    const chunks = []
    let problem = null
    // A group of its own, so that nothing of a file that hangs is left.
    const child = spawn(process.execPath, [MOCHA, '--forbid-only', '--reporter', path.join(__dirname, 'mocha-reporter.js'), '--require', LISTENER, file], {
      detached: true,
      env: {
        ...process.env,
        ALKNET_MOCHA_COUNTS: countsFile,
        ALKNET_TEST_DESTINATIONS: destinations,
        ALKNET_TEST_KEYS: path.join(folder, 'keys')
      },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    const timer = setTimeout(() => {
      problem = `did not end within ${LIMIT_MS / 60000} minutes`
      process.kill(-child.pid, 'SIGKILL')
    }, LIMIT_MS)
    child.stdout.on('data', (chunk) => chunks.push(chunk))
    child.stderr.on('data', (chunk) => chunks.push(chunk))
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const seconds = (Date.now() - start) / 1000
      const result = resultOf(countsFile, problem, code, signal)
      resolve({ file, output: Buffer.concat(chunks), seconds, ...withTold(result, destinations) })
    })
  })
}

function resultOf (countsFile, problem, code, signal) {
  const [first, ...titles] = fs.existsSync(countsFile) ? fs.readFileSync(countsFile, 'utf8').trimEnd().split('\n') : ['0 0 0']
  const [passed, failed, skipped] = first.split(' ').map(Number)
  // A crash, or a run of nothing, is a failure too.
  if (failed === 0 && (code !== 0 || passed + skipped === 0)) problem ??= `ended with ${signal ?? `code ${code}`}`
  if (problem !== null) titles.push(problem)
  return { counts: [passed, failed + (problem === null ? 0 : 1), skipped], failures: titles }
}

/** Destinations that were told are one failure more, of the file. */
function withTold ({ counts: [passed, failed, skipped], failures }, destinations) {
  const told = destinationsTold(destinations)
  for (const name of ['said', 'targets']) fs.rmSync(destinations + name, { force: true })
  if (told.length === 0) return { counts: [passed, failed, skipped], failures }
  const title = `alknet has told a destination, in ${told.length} lines: ${told[0].slice(0, 300)}`
  return { counts: [passed, failed + 1, skipped], failures: [...failures, title] }
}

async function runAll (files, jobs, folder) {
  const results = []
  const queue = [...files.entries()]
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const result = await run(next[1], folder, String(next[0]))
      console.log(`\n# ${result.file} (${result.seconds.toFixed(1)} s)`)
      process.stdout.write(result.output)
      results.push(result)
    }
  }
  await Promise.all(Array.from({ length: jobs }, worker))
  return results
}

function report (results) {
  const sum = [0, 1, 2].map((i) => results.reduce((total, { counts }) => total + counts[i], 0))
  const failures = results.flatMap(({ file, failures }) => failures.map((title) => `${file}: ${title}`))
  console.log('\nthe longest:')
  for (const { file, seconds } of results.sort((a, b) => b.seconds - a.seconds).slice(0, 15)) {
    console.log(`${seconds.toFixed(1).padStart(8)} s  ${file}`)
  }
  if (failures.length > 0) console.log(`\nfailed:\n${failures.join('\n')}`)
  const file = process.env.ALKNET_MOCHA_COUNTS
  if (file) fs.writeFileSync(file, [sum.join(' '), ...failures, ''].join('\n'))
  return sum[1] === 0
}

async function main () {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      jobs: { type: 'string', default: String(os.availableParallelism() + 1) },
      exclude: { type: 'string', multiple: true, default: [] }
    }
  })
  const files = (positionals.length > 0 ? positionals : ['test']).flatMap(filesOf)
    .filter((file) => !values.exclude.some((part) => file.includes(part)))
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'alknet-mocha-'))
  fs.mkdirSync(path.join(folder, 'keys'))
  try {
    if (!report(await runAll(files, Number(values.jobs), folder))) process.exitCode = 1
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
}

main()
