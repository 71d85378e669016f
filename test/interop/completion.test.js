'use strict'

/** The completions, in the shells that they are for. */

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { program } = require('../../bin/program')
const { flat, treeOf } = require('../../bin/tree')
const { needAlknet, root, runAlknet } = require('../helpers/alknet')
const { key } = require('../helpers/keys')
const { need, run, start } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')

/** What is typed => some of what has to be offered, and what must not be. */
const CASES = [
  ['alknet ', ['serve', 'connect', 'forward', 'completion'], ['list', '--server']],
  ['alknet conn', ['connect'], ['serve']],
  ['alknet connect --log-', ['--log-level', '--log-format'], ['--key']],
  ['alknet connect --log-level ', ['error', 'warn', 'info', 'debug'], ['text']],
  ['alknet connect --server serve --log-format j', ['json'], ['text']],
  ['alknet serve --default ', ['allow', 'deny'], []],
  ['alknet forward ', ['list', 'add', 'cancel'], ['serve']],
  ['alknet forward add --re', ['--remote-forward'], ['--forward']],
  ['alknet policy test --tr', ['--transport'], ['--as']],
  ['alknet connect --identity my_k', ['my_key'], ['other']],
  ['alknet keygen --sign my_key oth', ['other'], ['my_key']],
  ['alknet completion ', ['bash', 'zsh', 'fish'], []],
  ['alknet doctor --ser', ['--server'], ['--key']],
  ['alknet doctor serve --key', ['--key'], ['--server']],
  ['alknet connect --user ', [], ['my_key', '--server', 'connect']]
]

describe('completion', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let dir

  before(async function () {
    needAlknet(this)
    dir = suite.dir()
    for (const file of ['my_key', 'other']) fs.writeFileSync(path.join(dir, file), '')
    await Promise.all(['bash', 'zsh', 'fish'].map(async (shell) => {
      const { code, stdout, stderr } = await runAlknet(suite, ['completion', shell])
      assert.deepStrictEqual([code, stderr], [0, ''])
      fs.writeFileSync(path.join(dir, `c.${shell}`), stdout)
    }))
  })

  const env = () => ({ PATH: process.env.PATH, HOME: dir, TERM: 'xterm', LC_ALL: 'C.UTF-8' })

  /** offers: of each case, a list. */
  function check (offers) {
    for (const [i, [line, wanted, unwanted]] of CASES.entries()) {
      for (const word of wanted) assert(offers[i].includes(word), `${line}: offers ${offers[i]}, and not ${word}`)
      for (const word of unwanted) assert(!offers[i].includes(word), `${line}: offers ${word}`)
    }
  }

  it('works in bash', async function () {
    need(this, 'bash')
    // The words as bash has them: = and : are words of their own.
    const script = `cd ${dir}; source ./c.bash
try() { COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=(); _alknet; printf '%s ' "\${COMPREPLY[@]}"; echo; }
${CASES.map(([line]) => `try ${line.split(' ').map((word) => `'${word}'`).join(' ')}`).join('\n')}
try alknet connect --log-level = de
try alknet connect --log-level =
try alknet connect --log-level = debug --log-format = ''
complete -p alknet`
    const { code, stdout, stderr } = await run(scope, 'bash', ['--norc', '--noprofile', '-c', script], { env: env() })
    assert.deepStrictEqual([code, stderr], [0, ''])
    const lines = stdout.split('\n').map((line) => line.trim())
    check(lines.slice(0, CASES.length).map((line) => line.split(' ')))
    assert.deepStrictEqual(lines.slice(CASES.length), ['debug', 'error warn info debug', 'text json', 'complete -F _alknet alknet', ''])
  })

  it('works in fish', async function () {
    need(this, 'fish')
    const lines = [...CASES.map(([line]) => line), 'alknet connect --log-level=de']
    const script = `cd ${dir}; source ./c.fish\n${lines.map((line) => `echo (complete -C '${line}' | string replace -r '\\t.*' '' | string join ' ')`).join('\n')}`
    const { code, stdout, stderr } = await run(scope, 'fish', ['--no-config', '-c', script], { env: env() })
    assert.deepStrictEqual([code, stderr], [0, ''])
    const offers = stdout.split('\n')
    check(offers.slice(0, CASES.length).map((line) => line.split(' ')))
    assert.strictEqual(offers[CASES.length], '--log-level=debug')
  })

  // zsh completes only on a terminal. What it would show is caught where every
  // completion ends, in compadd; control-X prints it.
  const ZSHRC = `
PROMPT= RPROMPT= LISTMAX=10000
unsetopt prompt_sp prompt_cr
fpath=(DIR/functions $fpath)
autoload -Uz compinit
compinit -u -d DIR/dump
typeset -ga FOUND
compadd() {
  local -a found
  builtin compadd -O found "$@"
  FOUND+=($found)
  builtin compadd "$@"
}
tell() { BUFFER=; zle -I; print -r -- "<<\${(j: :)FOUND}>>"; FOUND=(); }
zle -N tell
bindkey '^X' tell
bindkey '^I' list-choices
print up
`

  it('works in zsh', async function () {
    need(this, 'zsh', 'python3')
    fs.mkdirSync(path.join(dir, 'functions'))
    fs.copyFileSync(path.join(dir, 'c.zsh'), path.join(dir, 'functions', '_alknet'))
    fs.writeFileSync(path.join(dir, '.zshrc'), ZSHRC.replaceAll('DIR', dir))
    const terminal = path.join(__dirname, '..', 'helpers', 'terminal.py')
    const zsh = start(scope, 'python3', [terminal, '50', '200', 'zsh', '-d', '-i'], { env: { ...env(), ZDOTDIR: dir }, cwd: dir, keepStdin: true })
    await zsh.waitFor(/up\r\n/)
    const offers = []
    for (const [i, [line]] of CASES.entries()) {
      zsh.child.stdin.write(`type ${JSON.stringify(`${line}\t\x18`)}\n`)
      await zsh.waitFor(new RegExp(`(?:<<[^]*?>>[^]*?){${i + 1}}`))
      // A flag that takes a value may be offered with its '='.
      offers.push([...zsh.stdout.matchAll(/<<([^]*?)>>/g)].at(-1)[1].split(/\s+/).map((word) => word.replace(/=$/, '')))
    }
    check(offers)
    zsh.kill('SIGKILL')
  })

  it('offers only words that alknet takes', async () => {
    const file = scope.file('alknet.toml', `[server]\nkey = "${key('ed25519', 'host').path}"\n[client]\nserver = "a"\nidentity = "${key('ed25519', 'user').path}"\n`)
    const tried = flat(treeOf(program())).filter(({ path }) => ['serve', 'connect'].includes(path.slice(1).join(' ')))
      .flatMap(({ path, flags }) => flags.flatMap(({ long, values }) => values.map((value) => [path[1], long, value])))
    assert(tried.length >= 16)
    const results = await Promise.all(tried.map((words) => runAlknet(scope, [...words, '--config', file, '--check'])))
    for (const [i, { code, stderr }] of results.entries()) {
      // A transport may want more than its name.
      if (code !== 0) assert.doesNotMatch(stderr, new RegExp(`${tried[i][1]}: (must be|")`), tried[i].join(' '))
    }
  })

  it('knows every command and flag, and none that is not there yet', () => {
    const scripts = ['bash', 'zsh', 'fish'].map((shell) => fs.readFileSync(path.join(dir, `c.${shell}`), 'utf8'))
    for (const script of scripts) {
      for (const { path: words, flags } of flat(treeOf(program()))) {
        assert(script.includes(words.at(-1)))
        for (const { long } of flags) assert(script.includes(long.slice(2)), long)
      }
      assert.doesNotMatch(script, /iroh-relay|undefined/)
    }
  })

  it('exits with 2 for a shell that it does not know', async () => {
    const { code, stderr } = await runAlknet(scope, ['completion', 'tcsh'])
    assert.strictEqual(code, 2)
    assert.match(stderr, /tcsh[^]*bash, zsh, fish/)
    assert(fs.existsSync(path.join(root, 'bin', 'tree.js')))
  })
})
