'use strict'

/** The manual pages: up to date, without a fault, and with all that there is. */

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { program } = require('../../bin/program')
const { flat, treeOf } = require('../../bin/tree')
const { pages } = require('../../tools/man')
const { root } = require('../helpers/alknet')
const { need, run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

describe('manual pages', function () {
  this.timeout(60000)
  const scope = testScope()
  const dir = path.join(root, 'man')
  const files = () => fs.readdirSync(dir).sort()

  it('are what the commands say: npm run man makes them anew', () => {
    const made = pages()
    assert.deepStrictEqual(files(), [...made.keys()].sort())
    const stale = [...made].filter(([name, text]) => fs.readFileSync(path.join(dir, name), 'utf8') !== text).map(([name]) => name)
    assert.deepStrictEqual(stale, [], 'not up to date: npm run man')
  })

  it('are in package.json, one for each command', () => {
    const { man } = require('../../package.json')
    assert.deepStrictEqual([...man].sort(), files().map((name) => `man/${name}`))
    const tree = treeOf(program())
    assert.deepStrictEqual(files(), [tree, ...tree.commands].map((one) => `${one.path.join('-')}.1`).sort())
  })

  it('are right in the eyes of mandoc', async function () {
    need(this, 'mandoc')
    const { code, output } = await run(scope, 'mandoc', ['-Tlint', '-W', 'style', ...files().map((name) => path.join(dir, name))])
    assert.strictEqual(output, '')
    assert.strictEqual(code, 0)
    const broken = scope.file('broken.1', '.TH BROKEN 1\n.SH NAME\nbroken \\- x\n.NOPE\n')
    assert.match((await run(scope, 'mandoc', ['-Tlint', broken])).output, /NOPE/)
  })

  it('show every flag, in man', async function () {
    need(this, 'man')
    const env = { PATH: process.env.PATH, MANWIDTH: '78', MANPAGER: 'cat', PAGER: 'cat', LC_ALL: 'C.UTF-8', MAN_KEEP_FORMATTING: '' }
    for (const command of treeOf(program()).commands) {
      const { code, stdout, stderr } = await run(scope, 'man', ['-l', path.join(dir, `${command.path.join('-')}.1`)], { env })
      assert.deepStrictEqual([code, stderr], [0, ''])
      const text = stdout.replace(/.\x08/g, '') // eslint-disable-line no-control-regex
      assert.match(text, new RegExp(`^${command.path.join('-').toUpperCase()}\\(1\\)`))
      for (const title of ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'OPTIONS', 'EXIT STATUS', 'EXAMPLES', 'SEE ALSO']) assert.match(text, new RegExp(`^${title}$`, 'm'))
      for (const { long } of flat(command).flatMap((one) => one.flags)) assert(text.includes(long), `${command.path.join(' ')} ${long}`)
      assert.doesNotMatch(text, /undefined|\[object|Not available yet/)
    }
  })
})
