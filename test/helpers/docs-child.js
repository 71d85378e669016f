'use strict'

/**
 * Runs the js blocks of a page of the documentation, as they stand there, in a
 * world where their names mean something: files of keys in the working
 * directory and the home, two servers, a web server and a data base that just
 * says hello. Each `console.log(…) // text` has to print that text; … in it is
 * anything, and lines count as words do.
 *
 *   node docs-child.js FILE, in an empty directory that is the home
 *
 * What a block needs and does not make is there: alknet, server, and session, with
 * that server.
 */

const dns = require('node:dns')
const { once } = require('node:events')
const fs = require('node:fs')
const http = require('node:http')
const net = require('node:net')
const path = require('node:path')
const { inspect } = require('node:util')
const alknet = require('../..')

const AsyncFunction = (async () => {}).constructor
const NAMES = /^(|jump\.|inner\.|intranet\.)example\.com$|^db\.internal$/

const { lookup } = dns
dns.lookup = (host, options, done) => NAMES.test(host)
  ? setImmediate(done, null, [{ address: '127.0.0.1', family: 4 }])
  : lookup(host, options, done)

async function keys () {
  const all = {}
  for (const name of ['id_ed25519', 'host_key', 'inner_key', 'ca']) {
    all[name] = await alknet.generateKey()
    fs.writeFileSync(name, all[name].privateKey, { mode: 0o600 })
    fs.writeFileSync(`${name}.pub`, all[name].publicKey)
  }
  fs.writeFileSync('authorized_keys', all.id_ed25519.publicKey)
  return all
}

async function listening (server) {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  server.unref()
  return server.address().port
}

async function world () {
  const { host_key: outer, inner_key: inner } = await keys()
  const common = { authorizedKeys: 'authorized_keys', listen: '127.0.0.1:0', onConnection: (stream, { user }) => stream.end(`hello ${user}\n`) }
  const servers = await Promise.all(['host_key', 'inner_key'].map((hostKey) => alknet.serve({ ...common, hostKey })))
  const [ssh, second] = servers.map((server) => server.address().port)
  const ports = {
    ssh,
    inner: second,
    web: await listening(http.createServer((req, res) => res.end(`hello from ${req.headers.host.split(':')[0]}`))),
    db: await listening(net.createServer((socket) => socket.on('error', () => {}).end('hello from db\n')))
  }
  fs.mkdirSync('.ssh')
  fs.writeFileSync('.ssh/known_hosts', ['', 'jump.'].map((name) => `[${name}example.com]:${ssh} ${outer.publicKey}\n`).join('') +
    `[inner.example.com]:${second} ${inner.publicKey}\n`)
  fs.writeFileSync('alknet.toml', '[server]\nkey = "host_key"\nauthorized-keys = "authorized_keys"\nlisten = "127.0.0.1:0"\n')
  return { servers, ports }
}

/** The ports that a reader would have in the place of those of the text. */
function withPorts (code, { ssh, inner, web, db }) {
  return code
    .replace(/(server: ')(inner\.example\.com)'/g, `$1$2:${inner}'`)
    .replace(/(server: ')((?:jump\.)?example\.com)'/g, `$1$2:${ssh}'`)
    .replace(/host: 'example\.com'/g, `host: 'example.com', port: ${ssh}`)
    .replace(/port: 22\b/g, `port: ${inner}`)
    .replace(/port: 80\b/g, `port: ${web}`)
    .replace(/(:\/\/intranet\.example\.com)/g, `$1:${web}`)
    .replace(/'5432:db\.internal:5432'/g, `'0:db.internal:${db}'`)
    .replace(/\b5432\b/g, String(db))
    .replace(/'0\.0\.0\.0:2222'/g, "'127.0.0.1:0'")
}

/** What a block has to print, each in its order. */
function expectedOf (code) {
  return [...code.matchAll(/(?:console\.log|process\.stdout\.write)\(.*\) \/\/ (.+)$/gm)].map(([, text]) => text)
}

function assertPrinted (output, expected) {
  let rest = output.replace(/\s+/g, ' ')
  for (const text of expected) {
    const pattern = new RegExp(text.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[^]*?'))
    const match = pattern.exec(rest)
    if (match === null) throw new Error(`"${text}" was not printed, but:\n${output}`)
    rest = rest.slice(match.index + match[0].length)
  }
}

async function runBlock (code, ports) {
  const closers = []
  const makes = (name) => new RegExp(`(const|let) (\\{[^}]*)?\\b${name}\\b`).test(code)
  const given = { alknet }
  if (!makes('server')) {
    given.server = await alknet.serve({ hostKey: 'host_key', authorizedKeys: 'authorized_keys', listen: '127.0.0.1:0' })
    closers.push(() => given.server.close())
  }
  if (!makes('session')) {
    const port = given.server === undefined ? ports.ssh : given.server.address().port
    given.session = await alknet.openSession({ server: `127.0.0.1:${port}`, identity: 'id_ed25519', hostKey: fs.readFileSync('host_key.pub', 'utf8').trim() })
    closers.unshift(() => given.session.close())
  }
  let output = ''
  given.console = { ...console, log: (...args) => { output += `${args.map((one) => typeof one === 'string' ? one : inspect(one)).join(' ')}\n` } }
  given.process = Object.create(process, { stdout: { value: { write: (text) => { output += text } } }, once: { value: () => {} }, on: { value: () => {} } })
  given.require = (name) => require(name === 'alknet' ? '../..' : name)
  const body = withPorts(code, ports).replace(/^const alknet = .*$/m, '').replace(/^main\(\)$/m, 'await main()')
  await new AsyncFunction(...Object.keys(given), `'use strict'\n${body}`)(...Object.values(given))
  const expected = expectedOf(code)
  assertPrinted(output, expected)
  for (const close of closers) await close()
  return expected.length
}

async function main () {
  const file = process.argv[2]
  const { servers, ports } = await world()
  const blocks = fs.readFileSync(file, 'utf8').split(/^```js\n/m).slice(1).map((text) => text.split(/^```$/m)[0])
  let printed = 0
  for (const code of blocks) {
    try {
      printed += await runBlock(code, ports)
    } catch (err) {
      err.message += `\nin this block of ${path.basename(file)}:\n${code}`
      throw err
    }
  }
  await Promise.all(servers.map((server) => server.close()))
  process.stdout.write(`${blocks.length} blocks, ${printed} lines\n`)
  process.exit() // what a block leaves open is not what is tested here
}

main()
