'use strict'

/**
 * What package.json and the lock file promise: nothing runs at install, only
 * listed files ship, and the lock file names no registry. Prints what is wrong
 * and exits 1.
 */

const fs = require('fs')
const path = require('path')
const { execFileSync } = require('child_process')

const root = path.join(__dirname, '..')
const read = (name) => JSON.parse(fs.readFileSync(path.join(root, name), 'utf8'))
const faults = []
const must = (yes, fault) => { if (!yes) faults.push(fault) }

const pkg = read('package.json')
const lock = read('package-lock.json')

must(pkg.gypfile === false, 'package.json: gypfile must be false, or npm builds at install')
for (const name of ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish']) {
  must(!(name in pkg.scripts), `package.json: a script "${name}" would run at install`)
}
must(Object.keys(pkg.exports['.'])[0] === 'types', 'package.json: types must come first in exports')
must(Object.keys(pkg.dependencies).join() === 'acme-client,commander,smol-toml',
  'package.json: a new dependency at run time needs a decision (docs/dependencies.md)')

// The root entry of the lock file repeats package.json; npm ci refuses if not.
for (const kind of ['dependencies', 'devDependencies']) {
  must(JSON.stringify(lock.packages[''][kind]) === JSON.stringify(pkg[kind]),
    `package-lock.json: ${kind} differ from package.json; run npm install`)
}
for (const [name, entry] of Object.entries(lock.packages)) {
  must(!('resolved' in entry), `package-lock.json: ${name} names its registry (${entry.resolved})`)
  must(name === '' || 'integrity' in entry, `package-lock.json: ${name} has no integrity`)
}

const [tarball] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json'],
  { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
const ships = tarball.files.map((file) => file.path)
const mayShip = /^(bin|contrib|docs|lib|man|csrc|prebuilds)\/|^(binding\.gyp|index\.d\.ts|package\.json|script\/(build|libssh|libssh-gcm)|tools\/libssh-gcm\.c|(README|SECURITY)\.md|LICENSE-(MIT|APACHE))$/
for (const file of ships) must(mayShip.test(file), `npm pack: ${file} must not ship`)
const mustShip = ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'bin/alknet.js', 'binding.gyp',
  'contrib/fail2ban/filter.d/alknet.conf', 'contrib/logrotate/alknet', 'contrib/systemd/alknet-serve.service',
  'csrc/core/stream.h', 'docs/cli.md', 'index.d.ts', 'lib/index.js', 'package.json', 'script/build', 'script/libssh', 'script/libssh-gcm',
  'SECURITY.md', 'tools/libssh-gcm.c']
mustShip.push(...pkg.man)
for (const file of mustShip) must(ships.includes(file), `npm pack: ${file} does not ship`)

for (const fault of faults) console.error(fault)
if (faults.length === 0) console.log(`package: ${ships.length} files ship, nothing runs at install`)
process.exitCode = faults.length === 0 ? 0 : 1
