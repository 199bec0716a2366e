/** What a process and its disk are like. Nothing runs between two readings: a node that is left alone costs nothing for it. */
import { access, constants, statfs } from 'node:fs/promises'
import { performance } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import type { NodeReadings } from './http/health.ts'

/** A reading waits for so many timers of so many ms, one after the other. */
const PROBES = { count: 3, ms: 10 } as const

/** Reads the state of this process, and of the disk that a directory is on. */
export function createReadings(dir: string): () => Promise<NodeReadings> {
  let last = performance.eventLoopUtilization()

  return async () => {
    const lagMs = await measureLag()
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, last)
    last = now
    const { rss: rssBytes, heapUsed: heapUsedBytes } = process.memoryUsage()
    return {
      eventLoop: { lagMs, utilization: Math.round(utilization * 1_000) / 1_000 },
      memory: { rssBytes, heapUsedBytes, heapLimitBytes: getHeapStatistics().heap_size_limit },
      disk: await readDisk(dir)
    }
  }
}

async function measureLag(): Promise<number> {
  let worst = 0
  for (let n = 0; n < PROBES.count; n++) {
    const begun = performance.now()
    await new Promise<void>((resolve) => setTimeout(resolve, PROBES.ms))
    worst = Math.max(worst, performance.now() - begun - PROBES.ms)
  }
  return Math.round(worst * 100) / 100
}

/** A directory that is gone, or cannot be asked, cannot be written to. */
async function readDisk(dir: string): Promise<NonNullable<NodeReadings['disk']>> {
  try {
    const { bavail, bsize } = await statfs(dir)
    const writable = await access(dir, constants.W_OK).then(
      () => true,
      () => false
    )
    return { writable, freeBytes: bavail * bsize }
  } catch {
    return { writable: false, freeBytes: 0 }
  }
}
