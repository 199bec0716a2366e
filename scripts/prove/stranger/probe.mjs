/**
 * Loaded before `atmo start`: on SIGUSR2 it prints what the process holds, and from the second time on writes its heap to
 * a file (not at first: that takes memory which would look like a leak). Plain JavaScript: it runs beside the built package.
 */
import { join } from 'node:path'
import { writeHeapSnapshot } from 'node:v8'

let count = 0
process.on('SIGUSR2', () => {
  globalThis.gc()
  const { heapUsed, rss } = process.memoryUsage()
  const resources = {}
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1
  count++
  const heap = count > 1 ? writeHeapSnapshot(join(process.env.ATMO_PROBE_DIR, `heap-${count}.heapsnapshot`)) : undefined
  console.log(JSON.stringify({ event: 'probe', n: count, heapUsed, rss, resources, heap }))
})
