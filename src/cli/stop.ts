import type { Command } from 'commander'
import { lockHolder } from '../data-dir-lock.ts'
import { MeshError } from '../errors.ts'
import { connectToNode } from './client.ts'
import { contextOf, parseDuration, withNodeOptions, type NodeOptions } from './command-line.ts'
import { showDuration } from './output.ts'

const DEFAULT_TIMEOUT_MS = 30_000
/** Between the release of the data directory and the end of the process there is nothing to wait on; looked at this often, in ms. */
const EXIT_POLL_MS = 10

/** `atmo stop`: stops the node here and returns when its process is gone. */
export function addStop(program: Command): void {
  withNodeOptions(program.command('stop').description('stop the node that runs here'))
    .option('--timeout <duration>', 'how long to wait until it is gone (default: 30s)', parseDuration)
    .action(async (options: NodeOptions & { timeout?: number }) => {
      const { dataDir, output } = contextOf(options)
      const { timeout: timeoutMs = DEFAULT_TIMEOUT_MS } = options
      const started = performance.now()
      const client = await connectToNode(dataDir)
      const holder = await lockHolder(dataDir)
      const deadline = new Promise<'late'>((resolve) => setTimeout(() => resolve('late'), timeoutMs).unref())
      try {
        await client.post('/mesh/stop')
        const gone = (holder?.released ?? Promise.resolve()).then(() => exited(client.node.pid, timeoutMs))
        if ((await Promise.race([gone, deadline])) === 'late') {
          throw new MeshError(
            'deadline_exceeded',
            `the node (process ${client.node.pid}) is still stopping after ${showDuration(timeoutMs)}`,
            { pid: client.node.pid }
          )
        }
      } finally {
        holder?.cancel()
      }
      const { pid, peerId } = client.node
      await output.out(
        output.json
          ? `${JSON.stringify({ stopped: true, pid, peerId })}\n`
          : `stopped after ${showDuration(performance.now() - started)}\n`
      )
    })
}

/** A node in another container has no process here: its pid says nothing, and the lock was enough. */
async function exited(pid: number, timeoutMs: number): Promise<void> {
  const until = performance.now() + Math.min(timeoutMs, 5_000)
  while (isRunning(pid) && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, EXIT_POLL_MS))
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
