'use strict'

/**
 * No parser of what people write may crash or hang: random text, grown out of a
 * corpus of good and bad ones. A failure prints the seed; ALKNET_SEED repeats it.
 */

const assert = require('assert')
const { createRandom, mutate, seed } = require('./helpers/random')
const { canonicalHost, parseHostPort } = require('../lib/addresses')
const { AlknetError } = require('../lib/errors')
const { parseConfig, formatConfig } = require('../lib/config')
const { parseForward, parseRemoteForward } = require('../lib/forward-spec')
const { parseScopes } = require('../lib/identity')
const { parseDuration } = require('../lib/option-checks')
const { serverOptions } = require('../lib/options')
const { parseListenRule, parseRule } = require('../lib/rules')

const TRIES = 4000

const RULES = [
  'allow private:443', 'deny loopback', 'allow *.example.com:80-90', 'allow [fd00::]/8:* "bob, x",SHA256:abc tls,tcp', 'deny unix:/run/*', 'allow *:*',
  'deny 127.1:80', 'allow 10.0.0.0/8:1-65535 *', 'deny db_1.internal.:5432 ops * ', 'allow \\"x\\" y', 'allow [::ffff:10.0.0.0]/104:22', 'allow *a*a*a*a*a:80'
]
const FORWARDS = [
  '8080:web:80', '127.0.0.1:8080:web:80', '[::1]:8080:[::1]:80', 'localhost:0:a:65535', '8080:/run/x.sock', '/a.sock:/b.sock', '::1:1:2', '[fe80::1%eth0]:1:a:2', '8080', ':::', '[[]]:1:a:2', '*:0:/run/x.sock', '/a.sock', ':1:a:2'
]
const CONFIGS = [
  '[server]\nkey = "k"\nlisten = ["127.0.0.1:0"]\nlogin-grace = "5m"\n[forwarding]\ndefault = "deny"\nrules = ["allow x:1", { action = "deny", target = "*:*" }]\n',
  '[client]\nserver = "x"\nforward = [\n "1:a:2", # c\n]\n[profiles."a b"]\nuser = \'me\'\n',
  '[[server]]\nx = 1\n', 'server.key = """\na"""\n', 'a = { b = { c = [ 1, [ 2 ] ] } }\n', '"\\u0061" = 1979-05-27T07:32:00Z\n', '[forwarding]\nrules = 5\n', '[server]\nmax-sessions = 0x7fffffff\nkeepalive = 1e3\n', '\ufeff# only\r\n'
]
const SMALL = ['5m', '1h30m', '30d', '90', '', 'm', '1w', '999999999d', 'a,b', 'relay:connect,x', 'host:80', '[::1]:22', '0x7f.1', 'ｄｂ。internal', 'a..b', '127.1.', 'xn--a']

describe(`parsers, with seed ${seed}`, function () {
  this.timeout(60_000)
  const random = createRandom()

  /** check(text) for many texts; what it throws names the text and the seed. */
  function everyText (corpus, check) {
    for (let i = 0; i < TRIES + corpus.length; i++) {
      const text = i < corpus.length ? corpus[i] : mutate(random, corpus)
      try {
        check(text)
      } catch (err) {
        err.message = `seed ${seed}, ${JSON.stringify(text)}: ${err.message}`
        throw err
      }
    }
  }

  // A problem is one short line of printable ASCII, whatever was in the input.
  function isMessage (text) {
    assert(text.length > 0 && text.length < 1000 && !/[^\x20-\x7e]/.test(text), `message ${JSON.stringify(text)}`)
  }

  it('rules: a rule that stays the same when it is written out, or a message', () => {
    let good = 0
    everyText(RULES, (text) => {
      const rule = parseRule(text)
      if (typeof rule === 'string') return isMessage(rule)
      good++
      assert(['any', 'name', 'address', 'path'].includes(rule.kind))
      if (rule.kind !== 'path') assert(rule.low >= 0 && rule.low <= rule.high && rule.high <= 65535)
      assert.deepStrictEqual(parseRule(rule.text), rule)
    })
    assert(good > 100, `only ${good} were rules: the corpus tests nothing`)
  })

  it('rules about listening', () => {
    everyText(RULES.map((text) => text.replace(/^\w+ /, '')), (text) => {
      const rule = parseListenRule(text)
      if (typeof rule === 'string') isMessage(rule)
      else assert.deepStrictEqual(parseListenRule(rule.text), rule)
    })
  })

  for (const [what, parse] of [['forwards', parseForward], ['remote forwards', parseRemoteForward]]) {
    it(`${what}: sides that are what they must be, and a text that says the same, or a message`, () => {
      let good = 0
      everyText(FORWARDS, (text) => {
        const spec = parse(text)
        if (typeof spec === 'string') return isMessage(spec)
        good++
        const { here, there } = spec
        assert(here.path?.startsWith('/') || (here.port >= 0 && here.port <= 65535))
        assert(there === null || there.path?.startsWith('/') || (there.port >= 1 && there.port <= 65535))
        assert.deepStrictEqual(parse(spec.text), spec)
      })
      assert(good > 50, `only ${good} were forwards`)
    })
  }

  it('TOML: options, or one line with file, line and column', () => {
    let good = 0
    everyText(CONFIGS, (text) => {
      for (const command of ['serve', 'connect']) {
        try {
          const { options } = parseConfig(text, { file: 'f', command })
          good++
          if (command === 'serve') serverOptions({ hostKey: 'k', ...options })
        } catch (err) {
          if (!(err instanceof AlknetError) || err.code !== 'ERR_ALKNET_OPTION') throw err
          assert.doesNotMatch(err.message, /\n/)
          if (err.option === undefined) assert.match(err.message, /^f:\d+:\d+: /)
        }
      }
    })
    assert(good > 100, `only ${good} were files`)
  })

  it('TOML: what is in effect says the same again, whatever its strings hold', () => {
    everyText([...RULES, ...CONFIGS], (text) => {
      const path = `/${text.toWellFormed().replaceAll('\0', '')}`
      const options = serverOptions({ hostKey: path })
      const again = parseConfig(formatConfig('serve', options), { dir: '/' }).options.hostKey
      assert.deepStrictEqual(again, [require('path').resolve(path)])
    })
  })

  it('durations, scopes, hosts and addresses', () => {
    everyText(SMALL, (text) => {
      const seconds = parseDuration(text)
      assert(seconds === null || (Number.isSafeInteger(seconds) && seconds >= 0))
      const scopes = parseScopes(text)
      assert(Array.isArray(scopes) || scopes.length > 0)
      const host = canonicalHost(text)
      if (host !== null) assert.strictEqual(canonicalHost(host), host, 'one spelling, once and for all')
      const parts = parseHostPort(text)
      if (typeof parts === 'string') isMessage(parts)
    })
  })
})
