import { fork } from 'node:child_process'

/** A process of a benchmark, seen from its parent. */
export interface Child<Request> {
  ask<T>(request: Request): Promise<T>
  /** What it said when it was ready. */
  ready: Record<string, unknown>
  /** Ends it, by force if it does not end by itself, which is said. */
  stop(): Promise<void>
}

const READY_WITHIN_MS = 30_000
/** A profile is written when a process ends by itself, so it gets time. */
const STOP_WITHIN_MS = 8_000

/**
 * Starts a compiled file with bare Node and waits until it says that it is ready.
 * Questions and answers go one at a time over IPC.
 */
export async function startChild<Request>(file: string, args: string[], execArgv: string[] = []): Promise<Child<Request>> {
  const child = fork(file, args, { execArgv, stdio: ['ignore', 2, 2, 'ipc'], serialization: 'advanced' })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const next = <T>(withinMs?: number): Promise<T> =>
    new Promise((resolve, reject) => {
      const settle = (then: () => void): void => {
        clearTimeout(timer)
        child.off('message', onMessage).off('exit', onExit)
        then()
      }
      const onMessage = (message: { value: T } | { error: string }): void =>
        settle(() => ('error' in message ? reject(new Error(`${args.join(' ')}: ${message.error}`)) : resolve(message.value)))
      const onExit = (code: number | null): void => settle(() => reject(new Error(`${args.join(' ')} ended with ${code}`)))
      const timer =
        withinMs === undefined
          ? undefined
          : setTimeout(() => settle(() => reject(new Error(`${args.join(' ')} was not ready within ${withinMs} ms`))), withinMs)
      child.on('message', onMessage as never).on('exit', onExit)
    })
  const ask = <T>(request: Request): Promise<T> => {
    const answer = next<T>()
    child.send(request as object)
    return answer
  }
  try {
    const ready = await next<Record<string, unknown>>(READY_WITHIN_MS)
    return {
      ask,
      ready,
      async stop() {
        await ask({ do: 'stop' } as Request).catch(() => undefined)
        const timer = setTimeout(() => {
          console.error(`${args.join(' ').slice(0, 60)} did not end within ${STOP_WITHIN_MS} ms: killed`)
          child.kill('SIGKILL')
        }, STOP_WITHIN_MS)
        await ended
        clearTimeout(timer)
      }
    }
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
}
