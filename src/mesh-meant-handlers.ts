/** Whom the words of an event mean. */
import type { EventHandler, MeantHandlers } from './core/triggers/trigger-routes.ts'

/** What words mean among handlers, by what is known of the mesh now. */
export interface EventMeaning {
  /** Undefined: what is known is not of now. */
  among: MeantHandlers
  /** It is of now. Rejects once the node stops. */
  ready(): Promise<unknown>
}

/**
 * For the routes of events, which cannot wait: what is not known yet is learned meanwhile.
 * @param meaning undefined: words mean nobody. @param onKnown it has become known; routes are to be asked again.
 */
export function createMeantHandlers(meaning: EventMeaning | undefined, onKnown: () => void): MeantHandlers {
  let isLearning = false

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
    onKnown()
  }

  return (text: string, handlers: readonly EventHandler[]) => {
    if (meaning === undefined) return []
    const found = meaning.among(text, handlers)
    if (found === undefined && !isLearning) void learn()
    return found
  }
}
