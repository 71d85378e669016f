'use strict'

/** The build's self-test: does it notice a libssh that does not check tags? */

const assert = require('assert')
const { spawnSync } = require('child_process')
const path = require('path')

const root = path.join(__dirname, '..')

/** What script/libssh-gcm says with more arguments for the compiler. */
function selfTest (more) {
  const { status, stdout, stderr } = spawnSync(path.join(root, 'script/libssh-gcm'), more, { encoding: 'utf8' })
  assert.strictEqual(status, 0, stderr)
  return { stdout, stderr }
}

describe('the AES-GCM self-test of libssh', function () {
  this.timeout(60000)

  it('comes to an answer', () => {
    const { stdout, stderr } = selfTest([])
    if (stdout === '1') assert.strictEqual(stderr, '')
    else assert.match(stderr, /this libssh takes a changed AES-GCM packet/)
  })

  it('leaves AES-GCM out where a wrong tag is taken', () => {
    const { stdout, stderr } = selfTest([path.join(__dirname, 'c/forgiving_final.c'),
      '-Wl,--wrap=EVP_DecryptFinal', '-Wl,--wrap=EVP_DecryptFinal_ex'])
    assert.strictEqual(stdout, '0')
    assert.match(stderr, /this libssh takes a changed AES-GCM packet/)
  })

  it('leaves it out where it cannot tell', () => {
    // Instead of the request that would be the packet, the client asks itself something.
    const { stdout, stderr } = selfTest(['-Wl,--wrap=ssh_userauth_none', '-Wl,--defsym=__wrap_ssh_userauth_none=ssh_is_connected'])
    assert.strictEqual(stdout, '0')
    assert.match(stderr, /could not tell/)
  })
})
