/** Programs that raise triggers: each runs all the time, and each line that it prints is one event. */
import { resolve } from 'node:path'
import type { JsonObject, JsonValue } from '../core/invoke.ts'
import type { TriggerEvent } from './backend.ts'
import { programEnv } from './child-process.ts'
import type { ProgramGroup } from './child-process.ts'
import type { CommandConfig, CommandTriggerConfig } from './command-config.ts'
import { readLines } from './command-output.ts'
import { createDropOldestQueue } from './drop-oldest-queue.ts'
import type { DropOldestQueue } from './drop-oldest-queue.ts'
import { createOwnSignal } from './own-signal.ts'
import { createBackoff, delay } from './restart-delay.ts'

/** Events that wait for the node to read them; beyond it the oldest are lost. */
const EVENT_QUEUE_LIMIT = 1_000

/** Runs the programs of all triggers until the signal aborts, and restarts those that end. */
export async function* watchPrograms(
  config: CommandConfig,
  init: { baseDir: string; programs: ProgramGroup },
  signal: AbortSignal
): AsyncGenerator<TriggerEvent, void, void> {
  const queue = createDropOldestQueue<TriggerEvent>({ limit: EVENT_QUEUE_LIMIT })
  const own = createOwnSignal(signal)
  const watching = (config.triggers ?? []).map((trigger) => watchOne(config, trigger, init, queue, own.signal))
  try {
    yield* queue.values(signal)
  } finally {
    own.stop()
    await Promise.all(watching)
  }
}

async function watchOne(
  config: CommandConfig,
  trigger: CommandTriggerConfig,
  init: { baseDir: string; programs: ProgramGroup },
  queue: DropOldestQueue<TriggerEvent>,
  signal: AbortSignal
): Promise<void> {
  const [program, ...args] = trigger.run ?? []
  if (program === undefined) return
  const backoff = createBackoff()
  while (!signal.aborted) {
    const startedAt = performance.now()
    try {
      const spec = { program, args, env: programEnv(trigger.env), cwd: resolve(init.baseDir, trigger.cwd ?? '.'), stdin: false }
      const child = await init.programs.start(spec)
      const onAbort = (): void => void child.kill()
      signal.addEventListener('abort', onAbort)
      try {
        if (signal.aborted) return
        for await (const line of readLines(child.stdout)) {
          if (line.trim() !== '') queue.push({ capability: config.id, event: trigger.event, payload: toPayload(line) })
        }
      } finally {
        signal.removeEventListener('abort', onAbort)
        await child.kill()
      }
    } catch {
      // A watcher that cannot start, or prints nonsense, is tried again later, as one that ended is.
    }
    await delay(backoff.next(performance.now() - startedAt), signal)
  }
}

/** A JSON object is the payload as it is; all else is a line of text. */
function toPayload(line: string): JsonObject {
  try {
    const value = JSON.parse(line) as JsonValue
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {
    // Text.
  }
  return { line }
}
