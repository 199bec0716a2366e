import type { Mesh, MeshEvent } from '../mesh-api.ts'

/** Events that are kept for readers who are behind, or come back; past it the oldest go. */
export const MAX_KEPT_EVENTS = 1_000
/** And so much of them, in characters: events hold what triggers raise. The last is kept whatever its length. */
export const MAX_KEPT_CHARACTERS = 8 * 1024 * 1024
/** So long the node is still watched for a reader that went and may come back, in ms. */
export const RESUME_WITHIN_MS = 30_000

/** That events were left out for this reader: it was too slow, or away for too long. `dropped` is null where nobody counted them. */
export interface Lagged {
  event: 'lagged'
  dropped: number | null
}

/** What a reader gets. */
export type LiveEvent = MeshEvent | Lagged

/** An event with the id that a reader may go on after. */
export interface Logged {
  id: string
  event: LiveEvent
}

/** One log of what happens, for all readers: each has a place in it, and none holds up another. */
export interface EventLog {
  /**
   * Events from now on, or after one that was read before; until the signal aborts or the node stops. Every event that is kept counts for `lagged`, of whatever
   * name it is.
   * @param after id of the last event that was read. @param resumable the reader may come back within {@link RESUME_WITHIN_MS}.
   */
  read(signal: AbortSignal, options: { after?: string | undefined; resumable: boolean }): AsyncIterator<Logged, void>
}

/** Watches the node while anybody reads. @param closing ends all. */
export function createEventLog(mesh: Pick<Mesh, 'events'>, closing?: AbortSignal): EventLog {
  const kept: MeshEvent[] = []
  /** Of each of them, and of all. */
  const lengths: number[] = []
  let characters = 0
  /** Those who wait for the next event. */
  const waiting = new Set<() => void>()
  let readers = 0
  /** Number of the next event; and of whom all are, from the first that was watched without a break. */
  let next = 1
  let run = ''
  let watching: AbortController | undefined
  let lingering: ReturnType<typeof setTimeout> | undefined

  const wake = (): void => {
    for (const one of [...waiting]) one()
  }

  function forgetOldest(): void {
    kept.shift()
    characters -= lengths.shift() ?? 0
  }

  function keep(event: MeshEvent): void {
    const length = lengthOf(event)
    kept.push(event)
    lengths.push(length)
    characters += length
    while (kept.length > MAX_KEPT_EVENTS || (characters > MAX_KEPT_CHARACTERS && kept.length > 1)) forgetOldest()
  }

  function watch(): void {
    clearTimeout(lingering)
    lingering = undefined
    if (watching !== undefined) return
    const mine = (watching = new AbortController())
    while (kept.length > 0) forgetOldest()
    next = 1
    run = crypto.randomUUID().slice(0, 8)
    const signal = closing === undefined ? mine.signal : AbortSignal.any([mine.signal, closing])
    // Subscribed now: nothing that happens before the first read is missed.
    void follow(mesh.events({ signal })[Symbol.asyncIterator](), mine)
  }

  async function follow(events: AsyncIterator<MeshEvent>, mine: AbortController): Promise<void> {
    try {
      for (let one = await events.next(); one.done !== true; one = await events.next()) {
        keep(one.value)
        next++
        wake()
      }
    } catch {
      // The events of a node can only end; the reason is in its log.
    } finally {
      if (watching === mine) watching = undefined
      wake()
    }
  }

  function leave(resumable: boolean): void {
    readers--
    if (readers > 0) return
    const stop = (): void => {
      watching?.abort()
      watching = undefined
    }
    if (lingering !== undefined) return
    if (!resumable) return stop()
    lingering = setTimeout(stop, RESUME_WITHIN_MS)
    ;(lingering as { unref?: () => void }).unref?.()
  }

  return {
    read(signal, { after, resumable }) {
      watch()
      readers++
      const mine = watching
      const [wasRun, number] = (after ?? '').split('-')
      const isKnown = wasRun === run && Number(number) >= 0 && Number(number) < next
      let place = isKnown ? Number(number) + 1 : next
      let lost = after !== undefined && !isKnown
      let left = false
      const off = (): void => {
        if (left) return
        left = true
        signal.removeEventListener('abort', end)
        leave(resumable)
      }
      const end = (): void => {
        off()
        wake()
      }
      signal.addEventListener('abort', end, { once: true })
      if (signal.aborted) end()

      return {
        async next() {
          for (;;) {
            if (left) return { done: true, value: undefined }
            const oldest = next - kept.length
            if (lost || place < oldest) {
              const dropped = lost ? null : oldest - place
              lost = false
              place = Math.max(place, oldest)
              return { done: false, value: { id: `${run}-${place - 1}`, event: { event: 'lagged', dropped } } }
            }
            if (place < next) {
              const event = kept[place - oldest]!
              return { done: false, value: { id: `${run}-${place++}`, event } }
            }
            if (watching !== mine) {
              off()
              return { done: true, value: undefined }
            }
            await new Promise<void>((resolve) => {
              const go = (): void => {
                waiting.delete(go)
                resolve()
              }
              waiting.add(go)
            })
          }
        },
        async return() {
          end()
          return { done: true, value: undefined }
        }
      }
    }
  }
}

/** About what it takes as JSON, in characters. */
function lengthOf(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 8
  return Object.entries(value).reduce((sum, [key, one]) => sum + key.length + lengthOf(one), 2)
}
