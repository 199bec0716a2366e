/** Whom the words of an event mean. */
import type { EventHandler, MeantHandlers } from './core/triggers/trigger-routes.ts'

/** What words mean among handlers, by what is known of the mesh now. */
export interface EventMeaning {
  /** Undefined: what is known is not of now. */
  among: MeantHandlers
  /** It is of now. Rejects once the node stops. */
  ready(): Promise<unknown>
  /** Another number where words may mean something else than before. Undefined: what is known is not of now. */
  revision(): number | undefined
}

/** See {@link createMeantHandlers}. */
export interface CurrentMeaning {
  among: MeantHandlers
  /** What is offered may say something else: where words have been asked about, routes are asked again if it does, as soon as it is known. */
  changed(): void
}

/** Shortest time from one look at all routes to the next, in ms, and how long it is for each text that is looked up at one: each takes a tenth of a ms, or one of ten thousand capabilities. */
export const [MIN_LOOK_REST_MS, REST_A_TEXT_MS] = [250, 10] as const

/**
 * For the routes of events, which cannot wait: what is not known yet is learned meanwhile.
 * @param meaning undefined: words mean nobody. @param onKnown it has become known; routes are to be asked again. @param waits whether an event may go elsewhere than
 * it did. @param rest resolves after so many ms.
 */
export function createMeantHandlers(
  meaning: EventMeaning | undefined,
  onKnown: () => void,
  waits: () => boolean,
  rest: (ms: number) => Promise<void> = after
): CurrentMeaning {
  let isLearning = false
  let wasAsked = false
  /** Something was asked that was not known. */
  let isMissing = false
  /** What routes were asked by last. */
  let revision: number | undefined
  /** Texts that were looked up at this look. */
  let texts = 0
  /** All routes are looked at only once it is over: whoever changes what it says of itself all the time costs no more by that. */
  let resting: Promise<void> | undefined

  /** One at a time, until all that was asked is known. */
  async function learn(from: EventMeaning): Promise<void> {
    isLearning = true
    do {
      await resting
      try {
        await from.ready()
      } catch {
        // The node stops.
        break
      }
      look(from)
    } while (isMissing)
    isLearning = false
  }

  function look(by: EventMeaning): void {
    isMissing = false
    texts = 0
    revision = by.revision()
    onKnown()
    resting = rest(Math.max(MIN_LOOK_REST_MS, texts * REST_A_TEXT_MS))
  }

  function among(text: string, handlers: readonly EventHandler[]): readonly EventHandler[] | undefined {
    if (meaning === undefined) return []
    wasAsked = true
    const found = meaning.among(text, handlers)
    if (found !== undefined) texts++
    else isMissing = true
    if (found === undefined && !isLearning) void learn(meaning)
    return found
  }

  return {
    among,
    changed() {
      wasAsked = wasAsked && waits()
      if (meaning === undefined || !wasAsked || isLearning) return
      const current = meaning.revision()
      if (current === undefined || current !== revision) void learn(meaning)
    }
  }
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    timer.unref?.()
  })
}
