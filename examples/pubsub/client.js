'use strict'

// A client of hub.js.
//
//   node client.js 127.0.0.1:PORT SHA256:... me subscribe 'orders.*' [count]
//   node client.js 127.0.0.1:PORT SHA256:... me publish orders.new text...

const alknet = require('alknet')

async function subscribe (target, topic, count = 'Infinity') {
  const events = target.subscribe(topic)
  await events.ready
  console.log(`subscribed to ${topic}`)
  let left = Number(count)
  for await (const { type, payload } of events) {
    console.log(`${type} ${payload}`)
    if (--left === 0) break
  }
}

async function publish (target, topic, ...texts) {
  for (const text of texts) await target.dispatchEvent({ type: topic, payload: text })
}

async function main (server, hostKey, identity, command, ...args) {
  const stream = await alknet.connect({ server, hostKey, identity })
  const target = alknet.createEventTarget({ stream })
  try {
    await { subscribe, publish }[command](target, ...args)
  } finally {
    await target.close()
    await stream.session.close()
  }
}

main(...process.argv.slice(2)).catch((err) => {
  console.error(`${err.message} (${err.code})`)
  process.exitCode = 1
})
