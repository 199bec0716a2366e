/**
 * Loaded before `atmo start`: on SIGUSR2 it prints what the process holds, and writes its heap to a file if one named `probe-heap` is
 * there (only at the end: that takes memory which would look like a leak). Plain JavaScript: it runs beside the built package.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { writeHeapSnapshot } from 'node:v8'

let count = 0
process.on('SIGUSR2', async () => {
  // Native objects are freed after what held them, one after the other.
  for (let n = 0; n < 3; n++) {
    globalThis.gc()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { heapUsed, rss } = process.memoryUsage()
  const resources = {}
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1
  // Each native object of WebRTC that is alive has at least one.
  const native = process.report.getReport().libuv.filter(({ type, is_active }) => type === 'async' && is_active).length
  count++
  const dir = process.env.ATMO_PROBE_DIR
  const heap = existsSync(join(dir, 'probe-heap')) ? writeHeapSnapshot(join(dir, `heap-${count}.heapsnapshot`)) : undefined
  console.log(JSON.stringify({ event: 'probe', n: count, heapUsed, rss, resources, native, heap }))
})
