'use strict'

/**
 * Whether alknet has told a destination: looks for the targets of a test file
 * in what was said there, as test/helpers/destinations.js has written both
 * down.
 *
 * A target is found by its name, its address or its path, wherever they stand.
 * An address that clients and servers have too, as 127.0.0.1, says nothing;
 * there the port does, behind a colon or the word: servers of tests listen
 * below the ports that the system gives to clients and to listeners
 * (TARGET_PORTS), so nothing that may be told has such a number.
 */

const fs = require('fs')
const net = require('net')

const TARGET_PORTS = { first: 10000, last: 31999 }

// Everybody is there.
const ORDINARY = /^(localhost|127\.0\.0\.1|::1|::|0\.0\.0\.0|)$/i

// A word without a dot or a hyphen may stand in any sentence.
const TELLING = /^[a-z0-9_-]+[.-][a-z0-9._-]*[a-z0-9]$/i

/** What may be a target in a line, by kind. */
const WORDS = {
  name: /[0-9a-z_](?:[0-9a-z_.-]*[0-9a-z_])?/gi,
  ipv6: /[0-9a-f:.]*:[0-9a-f:.]+/gi,
  path: /\/[^\s":,]+/g,
  port: /(?:(?<!\bpid"?):"?|\bport\W{1,3})(\d{5})(?!\d)/gi
}

function isTargetPort (port) {
  return port >= TARGET_PORTS.first && port <= TARGET_PORTS.last
}

/** Sets of words by kind, for lines of the file of targets: `host port` or a path. */
function needlesOf (targets) {
  const needles = Object.fromEntries(Object.keys(WORDS).map((kind) => [kind, new Set()]))
  for (const target of targets) {
    const [host, port] = target.startsWith('/') ? [target] : target.toLowerCase().split(' ')
    if (host.startsWith('/')) needles.path.add(host.toLowerCase())
    else if (net.isIPv6(host) && !ORDINARY.test(host)) needles.ipv6.add(host)
    else if (TELLING.test(host) && !ORDINARY.test(host)) needles.name.add(host)
    if (isTargetPort(Number(port))) needles.port.add(port)
  }
  return needles
}

/**
 * The lines that have a target in them.
 *
 * @param {string} prefix how the names of the two files begin
 */
function destinationsTold (prefix) {
  const read = (name) => fs.existsSync(prefix + name) ? fs.readFileSync(prefix + name, 'utf8').split('\n').filter(Boolean) : []
  const needles = Object.entries(needlesOf(read('targets'))).filter(([, words]) => words.size > 0)
  const tells = (line) => needles.some(([kind, words]) =>
    [...line.matchAll(WORDS[kind])].some(([all, inside]) => words.has((inside ?? all).toLowerCase())))
  return read('said').filter(tells)
}

module.exports = { TARGET_PORTS, destinationsTold }
