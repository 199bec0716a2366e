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

/**
 * For the routes of events, which cannot wait: what is not known yet is learned meanwhile.
 * @param meaning undefined: words mean nobody. @param onKnown it has become known; routes are to be asked again. @param waits whether an event may go elsewhere than
 * it did.
 */
export function createMeantHandlers(
  meaning: EventMeaning | undefined,
  onKnown: () => void,
  waits: () => boolean
): CurrentMeaning {
  let isLearning = false
  let wasAsked = false
  /** What routes were asked by last. */
  let revision: number | undefined

  function known(): void {
    revision = meaning?.revision()
    onKnown()
  }

  async function learn(): Promise<void> {
    isLearning = true
    try {
      await meaning?.ready()
    } catch {
      // The node stops.
      return
    } finally {
      isLearning = false
    }
    known()
  }

  function among(text: string, handlers: readonly EventHandler[]): readonly EventHandler[] | undefined {
    if (meaning === undefined) return []
    wasAsked = true
    const found = meaning.among(text, handlers)
    if (found === undefined && !isLearning) void learn()
    return found
  }

  return {
    among,
    changed() {
      wasAsked = wasAsked && waits()
      if (meaning === undefined || !wasAsked || isLearning) return
      const current = meaning.revision()
      if (current === undefined) void learn()
      else if (current !== revision) known()
    }
  }
}
