'use strict'

const assert = require('assert')
const { execFile } = require('child_process')
const fs = require('fs')
const os = require('os')
const path = require('path')
const { errorTable } = require('../lib/errors')
const { logCalls } = require('./helpers/log-calls')
const { logSchema } = require('./helpers/log-lines')
const alknet = require('..')

const root = path.join(__dirname, '..')
const read = (name) => fs.readFileSync(path.join(root, name), 'utf8')

describe('docs', () => {
  it('errors.md is the table of the core', () => {
    const codes = read('docs/errors.md').split('## Codes\n')[1].split('\n## ')[0]
    const rows = codes.split('\n').filter((line) => line.startsWith('| `')).map((line) => line.split('|').slice(1, -1).map((s) => s.trim().replace(/`/g, '')))
    assert.deepStrictEqual(rows, [...errorTable().values()].map((e) => [e.code, e.stage, e.text, e.advice]))
  })

  it('every code has advice', () => {
    for (const { code, stage, text, advice } of errorTable().values()) {
      assert.match(code, /^ERR_ALKNET_[A-Z]+$/)
      for (const one of [stage, text, advice]) assert(one.length > 0, code)
    }
  })

  it('api.md and index.d.ts have every export', () => {
    for (const name of Object.keys(alknet)) {
      assert.match(read('docs/api.md'), new RegExp(`\\b${name}\\b`), name)
      assert.match(read('index.d.ts'), new RegExp(`export (class|function|const) ${name}\\b`), name)
    }
  })

  it('cli.md has every flag of the help', async () => {
    for (const command of ['serve', 'connect', 'keygen', 'policy test', 'status', 'forward list', 'forward add', 'forward cancel', 'doctor connect', 'doctor serve']) {
      const help = await new Promise((resolve, reject) => execFile(process.execPath, [path.join(root, 'bin/alknet.js'), ...command.split(' '), '--help'],
        (err, stdout) => err ? reject(err) : resolve(stdout)))
      const flags = [...help.split('Examples:')[0].matchAll(/^ {2}(?:-\w, )?(--[a-z0-9-]+)/gm)].map(([, flag]) => flag)
      assert(flags.length > 2)
      for (const flag of flags) if (flag !== '--help') assert(read('docs/cli.md').includes(`${flag}`), `${command} ${flag}`)
    }
  })

  it("api.md's example runs", async () => {
    const code = read('docs/api.md').split('## A whole example')[1].match(/```js\n([^]*?)```/)[1]
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'alknet-'))
    try {
      const file = path.join(dir, 'example.js')
      fs.writeFileSync(file, code.replace("require('alknet')", `require(${JSON.stringify(root)})`))
      const output = await new Promise((resolve, reject) => execFile(process.execPath, [file], { timeout: 15_000 },
        (err, stdout, stderr) => err ? reject(new Error(`${err.message}\n${stderr}`)) : resolve(stdout)))
      assert.strictEqual(output, 'hello alknet\n')
    } finally {
      fs.rmSync(dir, { recursive: true })
    }
  }).timeout(20_000)
})

describe('docs/logs.md', () => {
  const id = ({ level, event }) => `${level} ${event}`
  const sorted = (list) => [...new Set(list)].sort()
  const { lines, types } = logSchema()
  let calls
  before(function () {
    this.timeout(60_000) // a compiler's parser reads all of lib/
    calls = logCalls()
  })

  it('has each line that lib/ logs, and no other', () => {
    assert(calls.length > 20)
    for (const call of calls) {
      assert(lines.some((one) => id(one) === id(call)), `${call.where}: docs/logs.md has no line ${call.level} "${call.event}"`)
    }
    for (const one of lines) assert(calls.some((call) => id(call) === id(one)), `docs/logs.md: nobody logs ${one.level} "${one.event}"`)
    assert.deepStrictEqual(lines.map(id).sort(), sorted(lines.map(id)), 'each once')
  })

  it('has the keys of each line, and no other', () => {
    for (const { level, event, keys } of lines) {
      const own = calls.filter((call) => id(call) === id({ level, event }))
      for (const call of own) for (const key of call.keys) assert(keys.includes(key), `${call.where}: docs/logs.md has no key ${key} for "${event}"`)
      for (const key of keys) assert(own.some((call) => call.keys.includes(key)), `docs/logs.md: no "${event}" has the key ${key}`)
    }
  })

  it('has the type of each key, and no other', () => {
    assert.deepStrictEqual(sorted(types.keys()), sorted(lines.flatMap((one) => one.keys)))
    for (const type of types.values()) assert(['text', 'number'].includes(type))
  })
})
