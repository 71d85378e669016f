'use strict'

/** contrib/systemd: what systemd says to the units, and that they ask for what alknet has. */

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { bin, needAlknet, root, runAlknet } = require('../helpers/alknet')
const { key } = require('../helpers/keys')
const { need, run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

const contrib = path.join(root, 'contrib', 'systemd')
const UNITS = fs.readdirSync(contrib)
const COMMANDS = UNITS.filter((name) => name.endsWith('.service'))

/** As `systemd-analyze security` counts it, times ten: below 20 is what it calls OK. */
const EXPOSURE = 20

describe('contrib/systemd', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  const read = (name) => fs.readFileSync(path.join(contrib, name), 'utf8')

  /** The units in a folder, with a command that is there. */
  function installed () {
    const dir = scope.dir()
    for (const name of UNITS) {
      const file = path.join(dir, name.replace('@.', '@work.'))
      fs.writeFileSync(file, read(name).replaceAll('/usr/bin/alknet', bin))
    }
    return dir
  }

  it('has a server, its sockets and a template for clients', () => {
    assert.deepStrictEqual(UNITS.sort(), ['alknet-connect@.service', 'alknet-serve.service', 'alknet-serve.socket'])
  })

  it('is what systemd understands', async function () {
    need(this, 'systemd-analyze')
    const dir = installed()
    const files = fs.readdirSync(dir).map((name) => path.join(dir, name))
    const { code, output } = await run(scope, 'systemd-analyze', ['verify', '--man=no', ...files])
    // It looks at units of the machine, too, and may have something to say about those.
    assert.doesNotMatch(output, /alknet/)
    assert.strictEqual(code, 0, output)
    const broken = path.join(dir, 'alknet-broken.service')
    fs.writeFileSync(broken, read('alknet-serve.service').replace('Type=notify', 'Type=notfy'))
    assert.match((await run(scope, 'systemd-analyze', ['verify', '--man=no', broken])).output, /alknet-broken\.service:\d+: .*notfy/)
  })

  for (const name of COMMANDS) {
    it(`${name} is locked up`, async function () {
      need(this, 'systemd-analyze')
      const file = path.join(installed(), name.replace('@.', '@work.'))
      const { code, output } = await run(scope, 'systemd-analyze', ['security', '--no-pager', '--offline=yes', `--threshold=${EXPOSURE}`, file])
      if (code !== 0 && /unrecognized option|Unknown/.test(output)) {
        console.log('      skipped: this systemd-analyze cannot judge a file')
        this.skip()
      }
      assert.strictEqual(code, 0, output)
      assert.match(output, /Overall exposure level for \S+: \d\.\d/)
    })

    it(`${name} asks for flags that there are`, async () => {
      const [, command] = /^ExecStart=\/usr\/bin\/alknet (.*)$/m.exec(read(name))
      const dir = scope.dir()
      const places = {
        CREDENTIALS_DIRECTORY: path.dirname(key('ed25519', 'host').path), RUNTIME_DIRECTORY: dir
      }
      const args = command.replace(/\$\{(\w+)\}/g, (_, variable) => places[variable])
        .replace(/\S+\/(host_key|identity)\b/, key('ed25519', 'host').path)
        .replace(/\/etc\/alknet\/\S+\.toml/, scope.file('alknet.toml', '[server]\nlisten = "127.0.0.1:0"\n[client]\nserver = "127.0.0.1:1"\n'))
      assert.doesNotMatch(args, /undefined/)
      const { code, output } = await runAlknet(scope, [...args.split(' '), '--check'])
      assert.strictEqual(code, 0, output)
    })
  }

  it('and contrib/logrotate gives systemctl flags that it has', async function () {
    need(this, 'systemctl')
    const shipped = fs.readFileSync(path.join(root, 'contrib', 'logrotate', 'alknet'), 'utf8')
    const [, flags] = /systemctl kill ((?:--\S+ )+)/.exec(shipped)
    // No unit: that is what it has to complain of, and not of a flag.
    const ask = async (args) => (await run(scope, 'systemctl', ['kill', ...args])).output
    assert.match(await ask(['--kill-nobody=main']), /unrecognized option/)
    assert.doesNotMatch(await ask(flags.trim().split(' ')), /unrecognized option/)
    // 247, of Debian 11, has no other word for it.
    assert.match(flags, /--kill-who=main /)
  })
})
