'use strict'

/**
 * node relay-child.js PORT HOST HOSTPORT: a relay as in the middle of a network,
 * from a port of this machine to another place. Says "ready".
 *
 * At SIGUSR2 it forgets which connections belong together: both of each pair
 * stay open and are read, but nothing is passed on, not even an end. What
 * connects then is relayed as before.
 */

const net = require('node:net')

const [port, host, hostPort] = process.argv.slice(2)
const pairs = new Set()

function forget ([near, far]) {
  for (const [from, to] of [[near, far], [far, near]]) {
    from.unpipe(to)
    from.off('close', from.endsOther)
    from.resume()
  }
}

net.createServer((near) => {
  const far = net.connect(hostPort, host)
  const pair = [near, far]
  pairs.add(pair)
  for (const [from, to] of [[near, far], [far, near]]) {
    from.endsOther = () => {
      to.destroy()
      pairs.delete(pair)
    }
    from.on('error', () => {}).on('close', from.endsOther)
    from.pipe(to)
  }
}).listen(port, '127.0.0.1', () => console.log('ready'))

process.on('SIGUSR2', () => {
  for (const pair of pairs) forget(pair)
  pairs.clear()
})
