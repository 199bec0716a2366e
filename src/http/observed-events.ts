import type { Mesh, ObservedEvent, ObservedNodeView } from '../mesh-api.ts'

/** What comes of a subscription: a copy, or which nodes are observed from now on. */
export type Observed = ObservedEvent | { sources: ObservedNodeView[] }

/** How {@link observedEvents} goes. */
export interface ObservedEventsOptions {
  /** Ends it. */
  signal: AbortSignal
  /** Whether it says which nodes are observed: at once, and when that changes. */
  sources: boolean
}

/**
 * Copies of events, as they are asked for. Nothing piles up here: what the reader is too slow for waits in the subscription, and is lost there; of the nodes
 * that are observed the newest state takes the place of what was not read. Subscribed at once, and until the signal aborts. @throws MeshError as {@link Mesh.on} does.
 */
export function observedEvents(
  mesh: Pick<Mesh, 'on'>,
  pattern: string,
  { signal, sources }: ObservedEventsOptions
): AsyncIterator<Observed, void> {
  let offered: { event: ObservedEvent; taken: () => void } | undefined
  let states: ObservedNodeView[] | undefined
  let wake: (() => void) | undefined
  const onSources = (now: ObservedNodeView[]): void => {
    states = now
    wake?.()
  }
  const subscription = mesh.on(
    pattern,
    (event) =>
      new Promise<void>((taken) => {
        offered = { event, taken }
        wake?.()
      }),
    { signal, ...(sources && { onSources }) }
  )
  if (sources) states = subscription.sources()
  const end = (): void => {
    subscription.close()
    offered?.taken()
    offered = undefined
    wake?.()
  }
  signal.addEventListener('abort', end, { once: true })
  return {
    async next() {
      while (offered === undefined && states === undefined && !signal.aborted)
        await new Promise<void>((resolve) => (wake = resolve))
      if (signal.aborted) return { done: true, value: undefined }
      if (states !== undefined) {
        const value = { sources: states }
        states = undefined
        return { done: false, value }
      }
      const { event, taken } = offered!
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
