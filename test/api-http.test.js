'use strict'

const assert = require('assert')
const { once } = require('events')
const http = require('http')
const https = require('https')
const alknet = require('..')
const { startServer } = require('./helpers/api')
const { need, run } = require('./helpers/proc')
const { testScope } = require('./helpers/scope')

/** A web server that says what it was asked for, and how many connections it has had. */
async function web (scope, tls) {
  const answer = (req, res) => {
    req.resume()
    req.on('end', () => res.end(`${req.method} ${req.headers.host} ${req.url}`))
  }
  const server = tls === undefined ? http.createServer(answer) : https.createServer(tls, answer)
  server.visits = 0
  server.on('connection', () => server.visits++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scope.defer(() => new Promise((resolve) => {
    server.close(resolve)
    server.closeAllConnections()
  }))
  server.port = server.address().port
  return server
}

function get (client, url, options) {
  return new Promise((resolve, reject) => {
    client.get(url, options, async (res) => {
      let text = ''
      for await (const chunk of res) text += chunk
      setImmediate(resolve, text) // the agent has its connection back
    }).on('error', reject)
  })
}

/** A certificate for localhost and 127.0.0.1 that signs itself. */
async function certificate (scope) {
  const dir = scope.dir()
  await run(scope, 'openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', `${dir}/key.pem`, '-out', `${dir}/cert.pem`])
  const fs = require('fs')
  return { key: fs.readFileSync(`${dir}/key.pem`), cert: fs.readFileSync(`${dir}/cert.pem`) }
}

for (const sshEngine of alknet.versions.engines) {
  describe(`HTTP through a session, ${sshEngine}`, () => {
    const scope = testScope()

    it('http.Agent: connections are used again', async () => {
      const session = await (await startServer(scope, { sshEngine })).login()
      const there = await web(scope)
      const agent = session.httpAgent({ keepAlive: true, maxSockets: 1 })
      assert(agent instanceof http.Agent)
      const url = `http://127.0.0.1:${there.port}`
      const texts = await Promise.all([1, 2, 3].map((n) => get(http, `${url}/${n}`, { agent })))
      assert.deepStrictEqual(texts, [1, 2, 3].map((n) => `GET 127.0.0.1:${there.port} /${n}`))
      assert.strictEqual(there.visits, 1)
      assert.strictEqual(session.stats().channelsTotal, 1)
      agent.destroy()
      assert.strictEqual(await get(http, url, { agent: session.httpAgent() }), `GET 127.0.0.1:${there.port} /`)
      assert.strictEqual(there.visits, 2)
    })

    it('http.Agent: a body of some size, and a time limit', async () => {
      const session = await (await startServer(scope, { sshEngine })).login()
      const there = await web(scope)
      const agent = session.httpAgent()
      const request = http.request(`http://127.0.0.1:${there.port}/up`, { method: 'POST', agent })
      request.end(Buffer.alloc(1 << 20))
      const [response] = await once(request, 'response')
      assert.strictEqual(response.statusCode, 200)
      response.resume()
      there.removeAllListeners('request') // it answers no more
      const silent = http.get(`http://127.0.0.1:${there.port}/`, { agent, timeout: 50 })
      await once(silent, 'timeout')
      silent.destroy()
      await assert.rejects(once(silent, 'response'), { code: 'ECONNRESET' })
    })

    it('http.Agent: a request given up while its channel opens ends as over a socket', async () => {
      const session = await (await startServer(scope, { sshEngine })).login()
      const there = await web(scope)
      const agent = session.httpAgent()
      for (const err of [undefined, new RangeError('mine')]) {
        const request = http.get(`http://127.0.0.1:${there.port}/`, { agent })
        request.once('socket', () => request.destroy(err))
        await assert.rejects(once(request, 'response'), err ?? { code: 'ECONNRESET' })
      }
      assert.strictEqual(await get(http, `http://127.0.0.1:${there.port}/`, { agent }), `GET 127.0.0.1:${there.port} /`)
    })

    it('http.Agent: what cannot be reached is an error of the request', async () => {
      const { server, login } = await startServer(scope, { sshEngine, forwarding: { default: 'deny' } })
      const session = await login()
      const agent = session.httpAgent()
      await assert.rejects(get(http, 'http://127.0.0.1:1/', { agent }), { code: 'ERR_ALKNET_CHANNEL', reason: 1 })
      await server.close()
      await session.closed
      await assert.rejects(get(http, 'http://127.0.0.1:1/', { agent }), { code: 'ERR_ALKNET_CLOSED' })
    })

    it('https.Agent: the certificate is checked against the name', async function () {
      await need(this, 'openssl')
      const session = await (await startServer(scope, { sshEngine })).login()
      const tls = await certificate(scope)
      const there = await web(scope, tls)
      const agent = session.httpsAgent({ keepAlive: true, ca: tls.cert })
      assert(agent instanceof https.Agent)
      for (const host of ['localhost', '127.0.0.1']) {
        assert.strictEqual(await get(https, `https://${host}:${there.port}/x`, { agent }), `GET ${host}:${there.port} /x`)
      }
      await assert.rejects(get(https, `https://127.0.0.2:${there.port}/`, { agent }), { code: 'ERR_ALKNET_CHANNEL' })
      await assert.rejects(get(https, `https://localhost:${there.port}/`, { agent, servername: 'example.com' }), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
      await assert.rejects(get(https, `https://localhost:${there.port}/`, { agent: session.httpsAgent() }), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
      agent.destroy()
    })

    it('undici: what connects it', async function () {
      await need(this, 'openssl')
      const undici = require('undici')
      const session = await (await startServer(scope, { sshEngine })).login()
      const tls = await certificate(scope)
      const [plain, secure] = [await web(scope), await web(scope, tls)]
      const dispatcher = new undici.Agent({ connections: 1, connect: session.connector({ ca: tls.cert }) })
      scope.defer(() => dispatcher.destroy())
      const text = async (url, using = dispatcher) => (await undici.request(url, { dispatcher: using })).body.text()
      assert.strictEqual(await text(`http://localhost:${plain.port}/a`), `GET localhost:${plain.port} /a`)
      assert.strictEqual(await text(`http://localhost:${plain.port}/b`), `GET localhost:${plain.port} /b`)
      assert.strictEqual(plain.visits, 1)
      for (const host of ['localhost', '127.0.0.1']) assert.strictEqual(await text(`https://${host}:${secure.port}/c`), `GET ${host}:${secure.port} /c`)
      const unsure = new undici.Agent({ connect: session.connector() })
      scope.defer(() => unsure.destroy())
      await assert.rejects(text(`https://localhost:${secure.port}/`, unsure), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
      await assert.rejects(text('http://127.0.0.1:1/'), { code: 'ERR_ALKNET_CHANNEL' })
      const fetched = await undici.fetch(`http://localhost:${plain.port}/f`, { dispatcher })
      assert.strictEqual(await fetched.text(), `GET localhost:${plain.port} /f`)
    })
  })
}
