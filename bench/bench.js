'use strict'

/** What every scene works with: the plan, the programs, and sides that take turns. */

const { Scope } = require('../test/helpers/scope')
const { metered } = require('./meter')
const { startSide } = require('./sides')

const MiB = 1024 * 1024

class Bench {
  /**
   * @param {object} plan how much of everything: plan.js
   * @param {Programs} programs
   * @param {Load} load on this machine
   * @param {(text: string) => void} say what is going on
   */
  constructor (plan, programs, load, say) {
    this.plan = plan
    this.programs = programs
    this.load = load
    this.say = say
  }

  /** Those of the names that are measured in this run. */
  sides (names) {
    return names.filter((name) => this.plan.sides.includes(name))
  }

  /** Does something with sides that are started for it, and ends them. */
  async withSides (names, options, work) {
    const scope = new Scope()
    try {
      const all = []
      for (const name of names) all.push(await this.startSide(scope, name, options))
      return await work(all, scope)
    } finally {
      await scope.close()
    }
  }

  startSide (scope, name, options) {
    return startSide(scope, name, { target: this.load.target, programs: this.programs, ...options })
  }

  /**
   * Each round gives every side its turn, the first turn going round too. The
   * sides that the bars are about have all rounds, the others `fewer`.
   */
  async alternate (all, turn) {
    const { rounds, fewer } = this.plan
    for (let round = 0; round < rounds; round++) {
      const order = round % 2 === 0 ? all : [...all].reverse()
      for (const side of order) {
        if (round < fewer || MAIN.includes(side.name)) await turn(side, round)
      }
    }
  }

  /** A transfer with what it cost: of a sample the figures. */
  async transfer (side, way, direction, mib) {
    const used = await metered(side.ends, () => this.load.bulk(side, way, direction, mib * MiB))
    const gib = mib / 1024
    return {
      mibPerSecond: mib / used.seconds,
      cpuPerGiB: (used.cpu.client + used.cpu.server) / gib,
      cpuClient: used.cpu.client / gib,
      cpuServer: used.cpu.server / gib,
      rssClient: used.rss.client,
      rssServer: used.rss.server
    }
  }
}

/** What the bars are about, and those of them that are alknet. */
const MAIN = ['native', 'libssh', 'openssh']
const ENGINES = ['native', 'libssh']

/** Of some sides those whose loops are watched. */
const watchable = (all) => all.filter(({ name }) => ENGINES.includes(name))

module.exports = { Bench, MAIN, watchable }
