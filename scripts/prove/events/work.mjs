/** What sources fire and handlers do: the same over the mesh and over a broker. Plain JavaScript, for processes. */
import { existsSync, openSync, readFileSync, writeSync } from 'node:fs'

/** CLOCK_MONOTONIC in ms, the same for all processes of the machine. */
export const clock = () => Number(process.hrtime.bigint()) / 1e6
/** What this process takes. */
export const usage = () => ({
  rss: process.memoryUsage.rss(),
  cpuMs: (process.cpuUsage().user + process.cpuUsage().system) / 1_000
})
export const print = (event, fields = {}) => console.log(JSON.stringify({ event, ...fields, t: clock() }))

/** Where the event of a number goes, and what it is about: a quarter of the subjects is urgent. */
export function subjectOf(n, handlers, subjects) {
  const subject = n % subjects
  const handler = handlers[subject % handlers.length]
  const priority = Math.floor(subject / handlers.length) % 4 === 0 ? 'high' : 'normal'
  return { handler, event: `${handler}-${priority}`, subject: `s${subject}` }
}

/** About 200 bytes, as a reading of a sensor has. */
export const payloadOf = (source, n, subject, at) => ({ source, n, subject, at, unit: 'lx', note: 'x'.repeat(100) })

/** Bytes of a payload, as JSON. */
export const PAYLOAD_BYTES = Buffer.byteLength(JSON.stringify(payloadOf('meter-a', 10_000, 's10', 100_000.123456)))

/**
 * Well below what an outbox holds, so that nothing is refused for want of room, and the order of firing is the order of numbers. Not more: after a kill the
 * source does not know yet of some that they were accepted, and those take room as well.
 */
const WINDOW = 700

/** Does `fire` for each number in order, so many at the same time. Resolves when all are over. */
export async function fireAll(begin, count, fire) {
  let [running, next] = [0, begin]
  let wake
  const one = async (n) => {
    await fire(n)
    running--
    wake?.()
  }
  while (next < count || running > 0) {
    if (running >= WINDOW || next >= count) await new Promise((resolve) => (wake = resolve))
    else {
      running++
      void one(next++)
    }
  }
}

/** What the mesh says of the order. */
export const lineTo = ({ late, missing }) => `${late ? 1 : 0} ${missing}`

/**
 * Effects as lines of a file, each written before the event is done: a kill cannot take back what the system has, nor invent it.
 * What comes again is written to another file, and has no effect.
 */
export function createEffects({ effectsFile, repeatsFile }) {
  const known = new Set()
  if (existsSync(effectsFile))
    for (const line of readFileSync(effectsFile, 'utf8').split('\n')) if (line !== '') known.add(line.split(' ', 1)[0])
  const [effects, repeats] = [openSync(effectsFile, 'a'), openSync(repeatsFile, 'a')]
  setInterval(() => print('effects', { count: known.size, ...usage() }), 500)
  return {
    handle(id, { source, n, subject, at }, order) {
      const line = `${id} ${source} ${n} ${subject} ${at.toFixed(2)} ${clock().toFixed(2)} ${process.pid} ${order}\n`
      if (known.has(id)) return void writeSync(repeats, line)
      known.add(id)
      writeSync(effects, line)
    }
  }
}
