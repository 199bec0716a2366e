/** The same sources and handlers over a broker, at QoS 1, with sessions that it keeps. */
import { connectAsync } from 'mqtt'
import { PAYLOAD_BYTES, clock, createEffects, fireAll, payloadOf, print, subjectOf, usage } from './work.mjs'

const options = JSON.parse(process.argv[2])
const client = await connectAsync(`mqtt://127.0.0.1:${options.port}`, {
  clientId: options.name,
  clean: false,
  protocolVersion: 5,
  properties: { sessionExpiryInterval: 3_600, receiveMaximum: 65_535 }
})
if (options.role === 'handler') {
  const effects = createEffects(options)
  client.on('message', (topic, bytes) => {
    const payload = JSON.parse(bytes.toString())
    effects.handle(`${payload.source}/${payload.n}`, payload, '0 0')
  })
  await client.subscribeAsync(`${options.name}/#`, { qos: 1 })
  print('ready', usage())
} else {
  const { name, handlers, count, subjects } = options
  print('ready', { ...usage(), payloadBytes: PAYLOAD_BYTES })
  await fireAll(0, count, async (n) => {
    const { handler, subject } = subjectOf(n, handlers, subjects)
    await client.publishAsync(`${handler}/${subject}`, JSON.stringify(payloadOf(name, n, subject, clock())), { qos: 1 })
  })
  print('fired', usage())
}
