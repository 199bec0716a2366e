/** Runs `task` after the work of this tick, so that frames made meanwhile share one write. */
export type Defer = (task: () => void) => void

/** What the platform has for it. */
export interface DeferPlatform {
  setImmediate?: (task: () => void) => unknown
  MessageChannel: typeof MessageChannel
}

/**
 * After what the senders do that are woken now: a microtask is too early for that, they need some of their own.
 * Browsers have no setImmediate, and clamp a timeout to 4 ms; a message to oneself is as soon.
 */
export function createDefer(platform: DeferPlatform): Defer {
  const { setImmediate, MessageChannel } = platform
  if (setImmediate !== undefined) return (task) => void setImmediate(task)
  const { port1, port2 } = new MessageChannel()
  const tasks: (() => void)[] = []
  port1.onmessage = () => tasks.shift()?.()
  return (task) => {
    tasks.push(task)
    port2.postMessage(null)
  }
}
