/**
 * A process of the proof of events, which is killed at any time: `source`, `forwarder` or `handler`. Its options come as JSON in its first argument, what
 * it has to say goes out as JSON lines. Plain JavaScript over the built package: what is measured is what users run.
 */
import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs'
import { createNode } from '../../../dist/src/index.js'
import { PAYLOAD_BYTES, clock, createEffects, fireAll, lineTo, payloadOf, print, subjectOf, usage } from './work.mjs'

/** Longer than any proof: `fire` resolves once a handler has the event, and it is on the disk here. */
const WAIT_MS = 3_600_000

const options = JSON.parse(process.argv[2])
const node = await createNode({
  name: options.name,
  dataDir: options.dataDir,
  open: true,
  mdns: false,
  listen: options.listen,
  peers: options.peers,
  log: (level, message) => print('log', { level, message })
})
const roles = { source, handler, forwarder: () => void setInterval(() => print('usage', usage()), 500) }
print('ready', { ...usage(), payloadBytes: PAYLOAD_BYTES })
await roles[options.role]()
process.on('SIGTERM', async () => {
  await node.stop()
  process.exit(0)
})

/** Fires number after number, and remembers on disk below which one all are delivered. After a restart it goes on there: what it fires again is the same event by its key. */
async function source() {
  const { name, handlers, count, subjects, positionFile } = options
  const trigger = (handler, priority) => ({
    event: `${handler}-${priority}`,
    routeHint: `capability:${handler}`,
    subject: 'subject',
    priority
  })
  node.register({
    id: name,
    type: 'test/meter',
    triggers: handlers.flatMap((handler) => [trigger(handler, 'normal'), trigger(handler, 'high')])
  })
  const begun = existsSync(positionFile) ? Number(readFileSync(positionFile, 'utf8')) : 0
  const file = openSync(positionFile, 'a+')
  closeSync(file)
  const position = openSync(positionFile, 'r+')
  const firedAt = timesIn(`${positionFile}.times`)
  let done = begun
  const ahead = new Set()
  const note = () => writeSync(position, String(done).padStart(12, '0'), 0)
  const told = setInterval(() => print('position', { done, ...usage() }), 500)
  await fireAll(begun, count, async (n) => {
    const { event, subject } = subjectOf(n, handlers, subjects)
    const payload = payloadOf(name, n, subject, firedAt(n))
    for (;;) {
      const { outcome, reason, kept } = await node.fire(name, event, payload, {
        waitMs: WAIT_MS,
        key: String(n)
      })
      if (outcome === 'delivered' && kept) break
      if (outcome !== 'queued') print('refused', { reason: reason ?? outcome })
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
    ahead.add(n)
    while (ahead.delete(done)) done++
    note()
  })
  clearInterval(told)
  print('fired', usage())
}

/** When each number was fired first, also before a kill: the same key is the same event, with the same payload. A line that a kill has cut has no end, and does not count. */
function timesIn(path) {
  const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const times = new Map([...text.matchAll(/^(\d+) ([\d.]+);$/gm)].map(([, n, at]) => [Number(n), Number(at)]))
  const file = openSync(path, 'a')
  if (text !== '' && !text.endsWith('\n')) writeSync(file, '\n')
  return (n) => {
    const known = times.get(n)
    if (known !== undefined) return known
    const at = clock()
    writeSync(file, `${n} ${at};\n`)
    return at
  }
}

/** Does what an event asks for, once: by its id, as the guide says. */
function handler() {
  const effects = createEffects(options)
  node.register({ id: options.name, type: 'test/counter', handles: { ordered: true } }, {}, (event) =>
    effects.handle(`${event.node.slice(-8)}/${event.id}`, event.payload, lineTo(event))
  )
}
