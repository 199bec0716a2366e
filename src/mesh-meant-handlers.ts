/** Whom the words of an event mean. */
import type { EventHandler, EventToRoute, MeantHandlers } from './core/triggers/trigger-routes.ts'

/** What words mean among handlers, by what is known of the mesh now. */
export interface EventMeaning {
  /** Undefined: what is known is not of now. */
  among(text: string, handlers: readonly EventHandler[]): readonly EventHandler[] | undefined
  /** It is of now. Rejects once the node stops. */
  ready(): Promise<unknown>
  /** Another number where words may mean something else than before. Undefined: what is known is not of now. */
  revision(): number | undefined
}

/** See {@link createMeantHandlers}. */
export interface CurrentMeaning {
  among: MeantHandlers
  revision: EventMeaning['revision']
  /** What is offered may say something else: where words have been asked about, routes are asked again if it does, as soon as it is known. */
  changed(): void
  /** The node stops: nothing is learned any more. */
  stop(): void
}

/** Shortest time from one look at all routes to the next, in ms. */
export const LOOK_REST_MS = 250
/** Most events of which the words are looked up once more in one look, and until the next: each takes a tenth of a ms, or one of ten thousand capabilities. */
export const MAX_LOOKUPS = 25

/**
 * For the routes of events, which cannot wait: what is not known yet is learned meanwhile. Whoever comes and goes, or changes what it says of itself, all the time
 * costs so many look-ups and no more: past {@link MAX_LOOKUPS} an event is looked at later, who has waited longest first.
 * @param meaning undefined: words mean nobody. @param onKnown it has become known; routes of all that waits are to be asked again. @param waits whether an event may
 * go elsewhere than it did. @param rest calls back after so many ms. @returns what ends that.
 */
export function createMeantHandlers(
  meaning: EventMeaning | undefined,
  onKnown: () => void,
  waits: () => boolean,
  rest: (ms: number, onOver: () => void) => () => void = after
): CurrentMeaning {
  let isLearning = false
  let wasAsked = false
  let isStopped = false
  /** Something was asked that was not known, or was too much. */
  let isMissing = false
  /** What routes were asked by last. */
  let revision: number | undefined
  /** Events that were looked up before: that costs each once, whatever others do. */
  const answered = new WeakSet<EventToRoute>()
  /** Look-ups again, in this look, or since the last one. */
  let lookups = 0
  /** Events past that, who has waited longest first; each look asks about those that still wait. */
  let later = new Set<EventToRoute>()
  /** Those that may be looked up in this look, whoever else is asked about before. */
  let turns = new Set<EventToRoute>()
  let resting: Promise<void> | undefined
  let endRest = (): void => undefined

  /** One at a time, until all that was asked is known. */
  async function learn(from: EventMeaning): Promise<void> {
    isLearning = true
    do {
      await resting
      try {
        await from.ready()
      } catch {
        break
      }
      if (isStopped) break
      look(from)
    } while (isMissing)
    isLearning = false
  }

  function look(by: EventMeaning): void {
    revision = by.revision()
    // It may have changed a moment ago; nobody loses its turn by that.
    isMissing = revision === undefined
    if (!isMissing) askAll()
    resting = new Promise((resolve) => (endRest = rest(LOOK_REST_MS, resolve)))
  }

  function askAll(): void {
    const before = [...later]
    later = new Set()
    turns = new Set(before.slice(0, MAX_LOOKUPS))
    lookups = 0
    onKnown()
    later = new Set([...before.filter((one) => later.has(one)), ...later])
    turns.clear()
    lookups = 0
  }

  function isDue(event: EventToRoute): boolean {
    if (!answered.has(event)) return true
    if (!turns.delete(event) && lookups + turns.size >= MAX_LOOKUPS) return false
    lookups++
    return true
  }

  function find(by: EventMeaning, ...[text, among, event]: Parameters<MeantHandlers>): ReturnType<MeantHandlers> {
    // Nothing is known of any words: no turn is lost by that.
    if (by.revision() === undefined) return undefined
    if (!isDue(event)) {
      later.add(event)
      return 'later'
    }
    const found = by.among(text, among)
    if (found === undefined) return undefined
    later.delete(event)
    answered.add(event)
    return found
  }

  return {
    among(...asked) {
      if (meaning === undefined) return []
      wasAsked = true
      const found = find(meaning, ...asked)
      if (found !== undefined && found !== 'later') return found
      isMissing = true
      if (!isLearning && !isStopped) void learn(meaning)
      return found
    },
    revision: () => meaning?.revision(),
    changed() {
      // Routes are kept as long as handlers are the same: what was asked once may be asked for no more, and wait by what it was told then.
      if (meaning === undefined || !wasAsked || !waits() || isLearning || isStopped) return
      const current = meaning.revision()
      if (current === undefined || current !== revision) void learn(meaning)
    },
    stop() {
      isStopped = true
      endRest()
    }
  }
}

function after(ms: number, onOver: () => void): () => void {
  const timer = setTimeout(onOver, ms)
  timer.unref?.()
  return () => clearTimeout(timer)
}
