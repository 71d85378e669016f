'use strict'

/**
 * Mocha's spec reporter, which also writes to the file that
 * ALKNET_MOCHA_COUNTS names: `passed failed skipped`, then the title of each
 * test that failed. Nothing is written before the end, so a run that dies
 * counts as a failure.
 */

const fs = require('fs')
const { reporters, Runner } = require('mocha')

module.exports = class extends reporters.Spec {
  constructor (runner, options) {
    super(runner, options)
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      const { passes, failures, pending } = this.stats
      const file = process.env.ALKNET_MOCHA_COUNTS
      const titles = this.failures.map((test) => `${test.fullTitle()}\n`)
      if (file) fs.writeFileSync(file, `${passes} ${failures} ${pending}\n${titles.join('')}`)
    })
  }
}
