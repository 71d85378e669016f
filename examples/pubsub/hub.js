'use strict'

// A hub for events.
//
//   alknet keygen -f host_key && alknet keygen -f me
//   echo "scopes=\"topics:publish:orders.*,topics:subscribe:orders.>\" $(cat me.pub)" > authorized_keys
//   node hub.js host_key authorized_keys

const alknet = require('alknet')

async function main (hostKey, authorizedKeys) {
  const server = await alknet.serve({ hostKey, authorizedKeys, listen: '127.0.0.1:0' })
  const hub = alknet.createEventHub(server)
  hub.addEventListener('__refused', ({ payload }) => {
    console.log(`refused: ${payload.identity?.id} may not ${payload.action} ${JSON.stringify(payload.topic)}`)
  })
  const { address, port } = server.address()
  console.log(`listening on ${address}:${port}`)
  process.once('SIGTERM', async () => {
    await hub.close()
    await server.close()
  })
}

main(...process.argv.slice(2)).catch((err) => {
  console.error(`${err.message} (${err.code})`)
  process.exitCode = 1
})
