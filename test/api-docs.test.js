'use strict'

const assert = require('assert')
const { execFile } = require('child_process')
const fs = require('fs')
const path = require('path')
const { promisify } = require('util')
const { testScope } = require('./helpers/scope')

const root = path.join(__dirname, '..')

function node (scope, args, more = {}) {
  const cwd = scope.dir()
  return promisify(execFile)(process.execPath, args, { cwd, timeout: 60_000, env: { PATH: process.env.PATH, HOME: cwd }, ...more })
}

describe('examples', () => {
  const scope = testScope()

  for (const page of ['api.md', 'from-ssh2.md', 'from-tunnel-ssh.md']) {
    it(`of docs/${page} run, and print what stands there`, async () => {
      const file = path.join(root, 'docs', page)
      const { stdout } = await node(scope, [path.join(__dirname, 'helpers/docs-child.js'), file])
      const blocks = fs.readFileSync(file, 'utf8').match(/^```js$/gm).length
      assert.match(stdout, new RegExp(`^${blocks} blocks, [1-9]\\d* lines\\n$`))
    }).timeout(90_000)
  }

  it('a page whose example prints something else is found', async () => {
    for (const [code, problem] of [
      ["console.log('a') // b", /"b" was not printed/],
      ["console.log('a') // a\nconsole.log('b') // a", /"a" was not printed/],
      ["await session.open({ host: 'db.internal', prot: 1 })", /did you mean port/]
    ]) {
      const page = scope.file('page.md', `text\n\n\`\`\`js\n${code}\n\`\`\`\n`)
      await assert.rejects(node(scope, [path.join(__dirname, 'helpers/docs-child.js'), page]), ({ stderr }) => problem.test(stderr))
    }
  }).timeout(60_000)

  const outputs = {
    'http-agent': /^you asked for \/first\nyou asked for \/second\nyou asked for \/third\n$/,
    services: new RegExp('^alice is here\nCAN YOU HEAR ME\\?\nbob is here\nhello bob, it is 20[^\n]*\n' +
      'the peer refused the channel: denied by a rule[^\n]*\nalknet-other:0 is served by a loop\n$')
  }
  for (const [name, expected] of Object.entries(outputs)) {
    it(`examples/${name} runs`, async () => {
      const { stdout, stderr } = await node(scope, [path.join(root, 'examples', name, `${name}.js`)])
      assert.strictEqual(stderr, '')
      assert.match(stdout, expected)
    }).timeout(60_000)
  }
})
