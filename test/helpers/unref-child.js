'use strict'

/**
 * `node unref-child.js OPTIONS MODE`: opens a session with OPTIONS (JSON) and
 * then has nothing to do. Prints "up" when something keeps the process up all
 * the same, and ends.
 *
 * MODE  none     leaves the session as it is
 *       unref    and a listener that was there, and one that comes later
 *       ref      unref() and then ref() again
 */

const alknet = require('../..')

const [options, mode] = process.argv.slice(2)

async function main () {
  const session = await alknet.openSession(JSON.parse(options))
  await session.socks5({ socks5: '127.0.0.1:0' })
  if (mode !== 'none') session.unref()
  if (mode === 'ref') session.ref()
  if (mode === 'unref') await session.forwardLocal('0:127.0.0.1:9')
  // Fires only when something else keeps the loop up.
  setTimeout(() => {
    console.log('up')
    process.exit()
  }, 300).unref()
}

main()
