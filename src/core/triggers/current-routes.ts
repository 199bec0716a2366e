/** The routes of events by the handlers that there are now, and by what words mean now. */
import { createEventRoutes, type EventHandler, type EventRoutes, type MeantHandlers } from './trigger-routes.ts'

/** What words mean, as far as it is known now. */
export interface WordsOfRoutes {
  among: MeantHandlers
  /** Another number where words may mean something else than before. Undefined: what is known is not of now. */
  revision(): number | undefined
}

const NO_WORDS: WordsOfRoutes = { among: () => [], revision: () => undefined }

/**
 * The same by the handlers that there are when it is asked: made anew where these are others, or words may mean something else.
 * @param handlers the same list, until something has changed. @param words Default: they mean nobody.
 */
export function createCurrentRoutes(handlers: () => readonly EventHandler[], words = NO_WORDS): EventRoutes {
  let list: readonly EventHandler[] = []
  /** By which the first words were looked up. */
  let revision: number | undefined
  let isAsking = false
  let routes = createEventRoutes(list, among)

  function among(...asked: Parameters<MeantHandlers>): ReturnType<MeantHandlers> {
    const found = words.among(...asked)
    if (found !== undefined && found !== 'later') revision ??= words.revision()
    else if (!isAsking) {
      // Many events are looked at together, and one of them asks.
      isAsking = true
      queueMicrotask(again)
    }
    return found
  }

  function again(): void {
    isAsking = false
    routes.again()
  }

  function current(): EventRoutes {
    const next = handlers()
    if (next === list) return routes
    const isSame = areSame(list, next) && (revision === undefined || revision === words.revision())
    list = next
    if (isSame) return routes
    revision = undefined
    return (routes = createEventRoutes(list, among))
  }

  return {
    route: (event) => current().route(event),
    isOrdered: (handler) => current().isOrdered(handler),
    again: () => current().again()
  }
}

/** Whether they are the same in all that routes go by. */
function areSame(list: readonly EventHandler[], next: readonly EventHandler[]): boolean {
  return list.length === next.length && list.every((one, n) => isSame(one, next[n]!))
}

function isSame(a: EventHandler, b: EventHandler): boolean {
  const isOfSame = a.node === b.node && a.capability === b.capability && a.type === b.type
  return isOfSame && a.healthy === b.healthy && (a.ordered === true) === (b.ordered === true)
}
