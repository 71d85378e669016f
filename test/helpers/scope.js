'use strict'

/**
 * What a test starts, it ends: a scope collects closing functions and runs
 * them in reverse order. Use `suiteScope()` inside a describe() for things that
 * its tests share and `testScope()` for those of a single test.
 */

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

class Scope {
  constructor () {
    this._closers = []
  }

  /**
   * @param {() => (void | Promise<void>)} closer - runs when the scope ends
   */
  defer (closer) {
    this._closers.push(closer)
  }

  /** @returns {string} a fresh directory, removed with the scope */
  dir () {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'alknet-test-'))
    this.defer(() => fs.rmSync(dir, { recursive: true, force: true }))
    return dir
  }

  /** Writes a file (mode 0600) into a fresh directory and returns its path. */
  file (name, text, mode = 0o600) {
    const file = path.join(this.dir(), name)
    fs.writeFileSync(file, text, { mode })
    return file
  }

  async close () {
    let failure = null
    while (this._closers.length > 0) {
      try {
        await this._closers.pop()()
      } catch (err) {
        failure = failure || err
      }
    }
    if (failure) throw failure
  }
}

/** A scope that ends with the suite that it is made in. */
function suiteScope () {
  const scope = new Scope()
  after(async function () {
    this.timeout(60000)
    await scope.close()
  })
  return scope
}

/** A scope that ends after each test of the suite that it is made in. */
function testScope () {
  const scope = new Scope()
  afterEach(async function () {
    this.timeout(60000)
    await scope.close()
  })
  return scope
}

module.exports = { Scope, suiteScope, testScope }
