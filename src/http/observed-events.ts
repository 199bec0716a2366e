import type { Mesh, ObservedEvent } from '../mesh-api.ts'

/**
 * Copies of events, as they are asked for. Nothing piles up here: what the reader is too slow for waits in the subscription, and is lost there.
 * Subscribed at once, and until the signal aborts. @throws MeshError as {@link Mesh.on} does.
 */
export function observedEvents(mesh: Pick<Mesh, 'on'>, pattern: string, signal: AbortSignal): AsyncIterator<ObservedEvent, void> {
  let offered: { event: ObservedEvent; taken: () => void } | undefined
  let wake: (() => void) | undefined
  const subscription = mesh.on(
    pattern,
    (event) =>
      new Promise<void>((taken) => {
        offered = { event, taken }
        wake?.()
      }),
    { signal }
  )
  const end = (): void => {
    subscription.close()
    offered?.taken()
    offered = undefined
    wake?.()
  }
  signal.addEventListener('abort', end, { once: true })
  return {
    async next() {
      while (offered === undefined && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve))
      if (offered === undefined) return { done: true, value: undefined }
      const { event, taken } = offered
      offered = undefined
      taken()
      return { done: false, value: event }
    },
    async return() {
      signal.removeEventListener('abort', end)
      end()
      return { done: true, value: undefined }
    }
  }
}
