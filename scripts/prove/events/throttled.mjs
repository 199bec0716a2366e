/** A source that fires far more often than its trigger passes on, and who handles what is left, in two nodes of one process. */
import { createNode } from '../../../dist/src/index.js'
import { clock, print } from './work.mjs'

const { perSecond, seconds, throttleMs } = JSON.parse(process.argv[2])
const MB = 1024 * 1024
const create = (peers) => createNode({ open: true, mdns: false, listen: ['/ip4/127.0.0.1/tcp/0'], peers })
const handler = await create([])
const source = await create(handler.multiaddrs())
const SUBJECTS = ['front', 'back']
const zero = () => Object.fromEntries(SUBJECTS.map((subject) => [subject, 0]))
const [fired, handled, arrivals] = [zero(), zero(), zero()]
handler.register({ id: 'counter', type: 'test/counter', handles: {} }, {}, ({ subject, coalesced }) => {
  handled[subject] += coalesced
  arrivals[subject]++
})
const trigger = { event: 'motion', routeHint: 'capability:counter', subject: 'door', throttleMs }
source.register({ id: 'camera', type: 'test/camera', triggers: [trigger] })
while (source.capabilities({ id: 'counter' }).length === 0) await new Promise((resolve) => setTimeout(resolve, 20))

const heap = () => (globalThis.gc(), Math.round((process.memoryUsage().heapUsed / MB) * 10) / 10)
const rss = () => Math.round(process.memoryUsage.rss() / MB)
const [heapMb, startRssMb] = [[heap()], rss()]
let peakRssMb = startRssMb
const total = perSecond * seconds
const began = clock()
const failed = []
for (let n = 0; n < total;) {
  const due = Math.min(total, Math.ceil(((clock() - began) * perSecond) / 1_000))
  for (; n < due; n++) {
    // Three of four are about the first door: with one throttle for both, the counts would differ.
    const door = SUBJECTS[n % 4 === 0 ? 1 : 0]
    fired[door]++
    source.fire('camera', 'motion', { door, n }, { waitMs: 0 }).catch((error) => failed.push(error.message))
    if (n % (total / 5) === 0 && n > 0) heapMb.push(heap())
  }
  peakRssMb = Math.max(peakRssMb, rss())
  await new Promise((resolve) => setTimeout(resolve, 1))
}
const took = (clock() - began) / 1_000
const isAll = () => SUBJECTS.every((subject) => handled[subject] === fired[subject])
for (const until = clock() + 30_000; !isAll() && clock() < until;) await new Promise((resolve) => setTimeout(resolve, 50))
heapMb.push(heap())
if (failed.length > 0) print('failed', { count: failed.length, message: failed[0] })
print('counted', { fired, handled, arrivals, seconds: Math.round(took * 10) / 10, heapMb, startRssMb, peakRssMb })
