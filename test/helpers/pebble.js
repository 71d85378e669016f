'use strict'

/**
 * Pebble from Debian, the test CA of Let's Encrypt, on free loopback ports. It
 * looks names up with a server of the test, where all that end in .test lead to
 * loopback, and looks at them through gates, which the test lets lead to its
 * server.
 */

const https = require('node:https')
const net = require('node:net')
const fs = require('node:fs')
const dns2 = require('dns2')
const { freePort, listen } = require('./net')
const { start } = require('./proc')
const { answering } = require('./start-on')
const { makeCa } = require('./tls-certs')

const EAB = { kid: 'kid-1', key: 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W' }

/** Answers for names; a name that begins with `gone` does not exist. */
async function startNames (scope) {
  const { A } = dns2.Packet.TYPE
  const server = dns2.createServer({
    udp: true,
    handle: (question, send) => {
      const reply = dns2.Packet.createResponseFromRequest(question)
      const [{ name, type }] = question.questions
      if (/^gone\./.test(name)) reply.header.rcode = dns2.Packet.RCODE.NXDOMAIN
      else if (type === A) reply.answers.push({ name, type, class: dns2.Packet.CLASS.IN, ttl: 0, address: '127.0.0.1' })
      send(reply)
    }
  })
  await server.listen({ udp: { port: 0, address: '127.0.0.1' } })
  scope.defer(() => server.close())
  return server.addresses().udp.port
}

/** A port that leads to wherever gate.to() says, { host, port }; nowhere: it hangs up. */
async function openGate (scope) {
  const gate = await listen(scope, (near) => {
    const to = gate.to()
    if (to === null) return near.destroy()
    const far = net.connect(to)
    far.on('error', () => near.destroy())
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
    near.pipe(far).pipe(near)
  })
  gate.to = () => null
  return gate
}

function get (url, ca) {
  return new Promise((resolve, reject) => {
    https.get(url, { ca, agent: false }, async (response) => {
      let text = ''
      for await (const chunk of response.setEncoding('utf8')) text += chunk
      resolve(text)
    }).on('error', reject)
  })
}

/**
 * @param {Scope} scope
 * @param {{ seconds?: number, eab?: boolean, env?: object }} [options] seconds: how long certificates are valid
 * @returns {Promise<object>} directory: its URL; ca: a file, whom to trust as it; root(): what its certificates are
 *   to be trusted by; tls, http: the gates
 */
async function startPebble (scope, { seconds = 3600, eab = false, env = {} } = {}) {
  const own = makeCa(scope)
  const { cert, key } = own.issue({ names: 'IP:127.0.0.1' })
  const names = await startNames(scope)
  const [tls, http] = [await openGate(scope), await openGate(scope)]
  for (let tries = 0; ; tries++) {
    const [port, management] = [await freePort(), await freePort()]
    const config = scope.file('pebble.json', JSON.stringify({
      pebble: {
        listenAddress: `127.0.0.1:${port}`,
        managementListenAddress: `127.0.0.1:${management}`,
        certificate: cert,
        privateKey: key,
        tlsPort: tls.port,
        httpPort: http.port,
        certificateValidityPeriod: seconds,
        externalAccountBindingRequired: eab,
        externalAccountMACKeys: eab ? { [EAB.kid]: EAB.key } : {}
      }
    }))
    const proc = start(scope, 'pebble', ['-config', config, '-strict', '-dnsserver', `127.0.0.1:${names}`], {
      env: { ...process.env, PEBBLE_VA_NOSLEEP: '1', PEBBLE_AUTHZREUSE: '0', PEBBLE_WFE_NONCEREJECT: '30', ...env }
    })
    try {
      const ready = await answering(proc, port)
      if (!ready && tries < 4 && /address already in use/.test(proc.output)) continue
      if (!ready) throw new Error(`pebble ended:\n${proc.output}`)
    } catch (err) {
      proc.kill()
      throw err
    }
    const directory = `https://127.0.0.1:${port}/dir`
    const ca = fs.readFileSync(own.cert)
    return { proc, port, directory, ca: own.cert, tls, http, root: () => get(`https://127.0.0.1:${management}/roots/0`, ca) }
  }
}

module.exports = { EAB, openGate, startPebble }
