'use strict'

/** What somebody gets who requires, imports or types alknet: the same names everywhere, and all of them. */

const assert = require('node:assert')
const { execFileSync, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const alknet = require('..')
const options = require('../lib/options')
const { needAlknet } = require('./helpers/alknet')
const { testScope } = require('./helpers/scope')

const root = path.join(__dirname, '..')

describe('the package', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  const addon = path.join(root, 'build', 'Release', 'alknet.node')

  /** A folder that has alknet as its dependency, as npm would put it there; and its addon, unless that is to be built. */
  function installed ({ isBuilt = true } = {}) {
    const dir = scope.dir()
    const [{ filename }] = JSON.parse(execFileSync('npm', ['pack', '--json', '--pack-destination', dir],
      { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
    const modules = path.join(dir, 'node_modules')
    fs.mkdirSync(modules)
    execFileSync('tar', ['-xzf', path.join(dir, filename), '-C', modules])
    const own = path.join(modules, 'alknet')
    fs.renameSync(path.join(modules, 'package'), own)
    for (const name of Object.keys(require('../package.json').dependencies)) fs.symlinkSync(path.join(root, 'node_modules', name), path.join(modules, name))
    // The addon is built, or comes in prebuilds/: it is not packed from build/.
    if (isBuilt) fs.cpSync(addon, path.join(own, 'build', 'Release', 'alknet.node'))
    return dir
  }

  const run = (dir, ...args) => JSON.parse(execFileSync(process.execPath, args, { cwd: dir, encoding: 'utf8' }))

  it('gives the same names to require() and to import, from the packed files', () => {
    const dir = installed()
    const names = Object.keys(alknet)
    const required = run(dir, '-e', "console.log(JSON.stringify(Object.keys(require('alknet'))))")
    assert.deepStrictEqual(required, names)
    const imported = run(dir, '--input-type=module', '-e',
      `import { ${names.join(', ')} } from 'alknet'
       import all from 'alknet'
       const same = { ${names.join(', ')} }
       console.log(JSON.stringify(Object.keys(same).filter((name) => same[name] === all[name])))`)
    assert.deepStrictEqual(imported, names)
    const { version } = run(dir, '-p', "JSON.stringify(require('alknet/package.json'))")
    assert.strictEqual(version, alknet.versions.alknet)
  })

  // A compiler takes a minute for all of it, in npm run check. Else all of the way
  // is gone but for that: a node-gyp that configures, and has the addon ready.
  it('says how its addon is built, and is built so', function () {
    this.timeout(600000)
    const dir = installed({ isBuilt: false })
    const own = path.join(dir, 'node_modules', 'alknet')
    const { stderr, status } = spawnSync(process.execPath, [path.join(own, 'bin', 'alknet.js'), '--version'], { encoding: 'utf8' })
    assert.strictEqual(status, 1)
    assert.match(stderr, /^alknet: the native addon of alknet was not found/)
    assert.doesNotMatch(stderr, /\n\s+at /, 'no stack trace')
    const [, command] = /^To build it, run: (.*)$/m.exec(stderr)
    if (process.env.ALKNET_PACKAGE_BUILD !== 'all') {
      const gyp = path.join(root, 'node_modules', '.bin', 'node-gyp')
      fs.mkdirSync(path.join(own, 'node_modules', '.bin'), { recursive: true })
      fs.writeFileSync(path.join(own, 'node_modules', '.bin', 'node-gyp'),
        `#!/bin/sh\nif [ "$1" = configure ]; then exec '${gyp}' "$@"; fi\nmkdir -p build/Release && cp '${addon}' build/Release\n`, { mode: 0o755 })
    }
    execFileSync('sh', ['-c', command], { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] })
    assert.strictEqual(run(dir, '-p', "JSON.stringify(require('alknet').versions.alknet)"), alknet.versions.alknet)
  })

  it('hides what is not its API', () => {
    const dir = installed()
    for (const inside of ['alknet/lib/session', 'alknet/lib/binding.js', 'alknet/build/Release/alknet.node']) {
      const code = `try { require('${inside}'); console.log('null') } catch (err) { console.log(JSON.stringify(err.code)) }`
      assert.strictEqual(run(dir, '-e', code), 'ERR_PACKAGE_PATH_NOT_EXPORTED')
    }
  })
})

describe('index.d.ts', function () {
  this.timeout(60000)
  let ts = null
  let checker = null
  let exported = null

  before(function () {
    needAlknet(this)
    ts = require('typescript')
    const file = path.join(root, 'index.d.ts')
    const program = ts.createProgram([file], { strict: true, noEmit: true, types: ['node'], target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.Node16 })
    checker = program.getTypeChecker()
    exported = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)))
  })

  const symbol = (name) => exported.find((one) => one.name === name)
  const isValue = (one) => (one.flags & ts.SymbolFlags.Value) !== 0

  it('has every export, and no other', () => {
    assert.deepStrictEqual(exported.filter(isValue).map((one) => one.name).sort(), Object.keys(alknet).sort())
  })

  /** Names that users may call or read: not private, not an event of the addon, not Node's own. */
  function publicNames (Class) {
    return Reflect.ownKeys(Class.prototype)
      .filter((key) => typeof key === 'string' && !/^_|^on[a-z]+$|^constructor$/.test(key))
  }

  it('has every method and getter of every class', () => {
    const classes = Object.entries(alknet).filter(([, value]) => typeof value === 'function' && /^class /.test(Function.prototype.toString.call(value)))
    assert(classes.length >= 4)
    for (const [name, Class] of classes) {
      const type = checker.getDeclaredTypeOfSymbol(symbol(name))
      const declared = checker.getPropertiesOfType(type).map((one) => one.name)
      assert.deepStrictEqual(publicNames(Class).filter((key) => !declared.includes(key)), [], `${name}: not declared`)
    }
  })

  it('has every option, and no other', () => {
    // What was checked has all options, with their defaults; places are made of some.
    const { places, ...serve } = options.serverOptions({ hostKey: 'k' })
    const all = {
      ServeOptions: serve,
      ConnectOptions: options.connectOptions({ server: 'a', identity: 'k' })
    }
    for (const [type, checked] of Object.entries(all)) {
      const declared = checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol(type))).map((one) => one.name)
      assert.deepStrictEqual(declared.sort(), Object.keys(checked).sort(), type)
    }
  })
})
