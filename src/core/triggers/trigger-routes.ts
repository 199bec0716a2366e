import { matchGlob } from '../../../protocols/glob.ts'
import type { CapabilityDeclaration, TriggerDeclaration } from '../../../protocols/capability.ts'
import { PRIORITIES, type Priority } from '../../../protocols/trigger/messages.ts'
import { MeshError } from '../../errors.ts'
import { rendezvousOrder } from './rendezvous.ts'

/** Most handlers of one event; `all` means so many of them. */
export const MAX_FAN_OUT = 256

/** A capability that handles events. */
export interface EventHandler {
  /** PeerId. */
  node: string
  /** Id of the capability. */
  capability: string
  type: string
  /** It can take events now: online, or degraded, or busy, and neither lost nor blocked. */
  healthy: boolean
  /** It wants the events of a source and subject in their order. Default: false. */
  ordered?: boolean
}

/** What decided where an event goes. */
export type RoutedBy = 'capability' | 'type' | 'meaning' | 'sink'

/** Where an event goes. */
export interface EventRoute {
  /** Undefined if nobody is there to handle it. */
  by: RoutedBy | undefined
  /** See {@link handlerKey}; who is to be tried first, first. */
  handlers: ReadonlySet<string>
  /** It is not known yet whom its words mean: nobody is asked, and one of these may be. Left out: it is known. */
  undecided?: ReadonlySet<string>
}

/** Who handles which events, of the handlers that there are at a time. What is asked again costs little. */
export interface EventRoutes {
  /**
   * Who handles an event: whom the hint names, or else those of its type or domain or whom its words mean, or else the sink. Whoever is named is waited for: nobody
   * else gets what is meant for it. The same source and subject go to the same handler as long as it is there, so that it can keep what it knows of them.
   */
  route(event: EventToRoute): EventRoute
  /** Whether one of this name wants the events of a subject in their order. */
  isOrdered(handler: string): boolean
  /** What words mean may be known now. Where it was not, it is not asked again before. */
  again(): void
}

/** What is known of an event before it is known where it goes. */
export interface EventToRoute {
  /** Of its trigger. */
  hint: string | undefined
  /** A hint as well: where what reaches nobody else goes, as the owner of this node wants it. */
  sink: string | undefined
  /** PeerId and capability that raised it. */
  node: string
  capability: string
  subject: string | undefined
  /** What it says, for hints that go by it. */
  text?: string
}

/**
 * Whom words of an event mean of these, as one thing that several may do: none where it may be something else as well, or nothing of what is there. Undefined: nothing
 * is known of words yet; `later`: too much was asked, and of others it may be known. Both are to be asked again.
 */
export type MeantHandlers = (
  text: string,
  among: readonly EventHandler[],
  event: EventToRoute
) => readonly EventHandler[] | 'later' | undefined

/** How a handler is named: `capability@PeerId`. */
export function handlerKey({ node, capability }: Pick<EventHandler, 'node' | 'capability'>): string {
  return `${capability}@${node}`
}

/** What decides where an event goes, beside its source and subject: the same for those that go to the same handlers. */
export function wayOf({ hint, sink, text }: EventToRoute): string {
  const way = `${hint ?? ''}\n${sink ?? ''}`
  return typesMeant(hint) === undefined ? way : `${way}\n${text ?? ''}`
}

/** Names in routes that are remembered, in all; past it they are made anew. */
export const MAX_ROUTED_NAMES = 65_536
/** What a route is found by, with the words of its events, counts as a name for each so many characters. */
export const NAME_CHARACTERS = 64

/** Looks at each handler once, then at those alone that a hint may mean. @param meant Default: words mean nobody. */
export function createEventRoutes(handlers: readonly EventHandler[], meant: MeantHandlers = () => []): EventRoutes {
  const ordered = new Set<string>()
  const byCapability = new Map<string, EventHandler[]>()
  const byType = new Map<string, EventHandler[]>()
  /** By hint. */
  const named = new Map<string, ReadonlySet<string>>()
  /** By hint and sink, of what is not known yet. */
  const undecided = new Map<string, EventRoute>()
  /** By what decides them, and by event: to find those takes many words. */
  const routes = new Map<string, EventRoute>()
  let found = new WeakMap<EventToRoute, EventRoute>()
  let names = 0
  /** Words were asked about, and it is not known what they mean. */
  let isUnknown = false
  /** It is not known of these. */
  let later = new WeakSet<EventToRoute>()
  /** By glob over types. */
  const ofTypes = new Map<string, readonly EventHandler[]>()

  for (const handler of handlers) {
    const { capability, type, healthy, ordered: isOrdered } = handler
    if (isOrdered === true) ordered.add(handlerKey(handler))
    if (!healthy) continue
    listIn(byCapability, capability).push(handler)
    listIn(byType, type).push(handler)
  }

  function find(hint: string): ReadonlySet<string> {
    const [, id, at] = NAME.exec(hint) ?? []
    const found =
      id === undefined
        ? [...byType].flatMap(([type, all]) => (reachesType(hint, type) ? all : []))
        : (byCapability.get(id) ?? []).filter(({ node }) => at === undefined || node === at)
    return new Set(found.map(handlerKey))
  }

  function namedBy(hint: string): ReadonlySet<string> {
    let found = named.get(hint)
    if (found === undefined) named.set(hint, (found = find(hint)))
    return found
  }

  /** Nothing handles its own events unless it is named, and no sink does: that would raise the next one. */
  function fitting(event: EventToRoute, hint: string | undefined, isSink: boolean): string[] {
    if (hint === undefined) return []
    const own = isSink || !isName(hint) ? handlerKey(event) : undefined
    return [...namedBy(hint)].filter((one) => one !== own)
  }

  function typed(types: string): readonly EventHandler[] {
    let all = ofTypes.get(types)
    if (all === undefined) ofTypes.set(types, (all = [...byType].flatMap(([type, of]) => (matchGlob(types, type) ? of : []))))
    return all
  }

  /** Those of its types that its words mean. Undefined: it is not known yet. */
  function meantOf(event: EventToRoute, types: string): string[] | undefined {
    const own = handlerKey(event)
    const among = typed(types).filter((one) => handlerKey(one) !== own)
    if (among.length === 0) return []
    const found = meant(event.text ?? '', among, event)
    if (found === undefined) isUnknown = true
    else if (found === 'later') later.add(event)
    else return found.map(handlerKey)
    return undefined
  }

  /** Words mean somebody of its types, or nobody, and nothing is known of words. */
  function isUndecided(event: EventToRoute): boolean {
    const types = isUnknown ? typesMeant(event.hint) : undefined
    if (types === undefined) return false
    const own = handlerKey(event)
    return typed(types).some((one) => handlerKey(one) !== own)
  }

  /** Whoever is of its types, or a sink, may be who it goes to. */
  function undecidedOf({ hint = '', sink }: EventToRoute): EventRoute {
    const key = `${hint}\n${sink ?? ''}`
    let route = undecided.get(key)
    if (route === undefined) {
      const all = typed(typesMeant(hint)!).map(handlerKey)
      route = { ...NOWHERE, undecided: new Set([...all, ...(sink === undefined ? [] : namedBy(sink))]) }
      undecided.set(key, route)
    }
    return route
  }

  /** Undefined: it is not known yet. */
  function findRoute(event: EventToRoute): EventRoute | undefined {
    const { hint, sink, node, capability, subject } = event
    const inOrder = (found: string[]): ReadonlySet<string> =>
      new Set(rendezvousOrder(`${node} ${capability} ${subject ?? ''}`, found))
    const types = typesMeant(hint)
    const hinted = types === undefined ? fitting(event, hint, false) : meantOf(event, types)
    if (hinted === undefined) return undefined
    if (hinted.length > 0 && types !== undefined) return { by: 'meaning', handlers: inOrder(hinted) }
    if (hinted.length > 0) return { by: isName(hint!) ? 'capability' : 'type', handlers: inOrder(hinted) }
    if (hint !== undefined && isName(hint)) return NOWHERE
    const left = fitting(event, sink, true)
    return left.length === 0 ? NOWHERE : { by: 'sink', handlers: inOrder(left) }
  }

  function remember(key: string, route: EventRoute): void {
    const more = route.handlers.size + Math.ceil(key.length / NAME_CHARACTERS)
    names += more
    if (names > MAX_ROUTED_NAMES) {
      routes.clear()
      found = new WeakMap()
      names = more
    }
    routes.set(key, route)
  }

  return {
    route(event) {
      const before = found.get(event)
      if (before !== undefined) return before
      if (later.has(event) || isUndecided(event)) return undecidedOf(event)
      const key = `${wayOf(event)}\n${event.node} ${event.capability} ${event.subject ?? ''}`
      const route = routes.get(key) ?? findRoute(event)
      if (route === undefined) return undecidedOf(event)
      if (!routes.has(key)) remember(key, route)
      found.set(event, route)
      return route
    },
    isOrdered: (handler) => ordered.has(handler),
    again() {
      isUnknown = false
      later = new WeakSet()
    }
  }
}

/** Which types a hint reaches: a glob over types, or a domain, `security` or `security/*`, which is any segment of theirs. */
export function reachesType(hint: string, type: string): boolean {
  const domain = /^([a-z0-9][a-z0-9._-]*)(\/\*{1,2})?$/.exec(hint)?.[1]
  return matchGlob(hint, type) || (domain !== undefined && type.split('/').includes(domain))
}

/** `capability:ID`, perhaps at one node, or what may fit a type, or types among which words decide. */
const HINT = /^(?:capability:[^\s@:]+(?:@[^\s@]+)?|(?:meaning:)?[^\s:@]+)$/

/** @throws MeshError `invalid_argument` for a hint that can fit nothing. */
export function checkRouteHint({ id }: Pick<CapabilityDeclaration, 'id'>, { event, routeHint }: TriggerDeclaration): void {
  if (routeHint === undefined || HINT.test(routeHint)) return
  throw new MeshError(
    'invalid_argument',
    `the routeHint "${routeHint}" of trigger "${event}" of "${id}" fits nothing: it must be capability:ID, a glob over types such as agent/*, a domain such as security, or meaning:agent/* for whom its words mean`,
    { capability: id, event, routeHint }
  )
}

/** How many handle an event of a trigger; what is not known counts as one. */
export function fanOutOf({ fanOut }: TriggerDeclaration): 'all' | number {
  if (fanOut === 'all') return 'all'
  return typeof fanOut === 'number' ? Math.max(1, Math.min(fanOut, MAX_FAN_OUT)) : 1
}

/** How urgent the events of a trigger are; what is not known counts as normal. */
export function priorityOf({ priority }: TriggerDeclaration): Priority {
  return PRIORITIES.find((known) => known === priority) ?? 'normal'
}

const NAME = /^capability:([^@]*)(?:@(.*))?$/

/** Of a hint by meaning: the types that may be meant, a glob. */
const typesMeant = (hint: string | undefined): string | undefined =>
  hint?.startsWith(MEANING) === true ? hint.slice(MEANING.length) : undefined

const MEANING = 'meaning:'

const isName = (hint: string): boolean => hint.startsWith('capability:')

const NOWHERE: EventRoute = { by: undefined, handlers: new Set() }

function listIn(lists: Map<string, EventHandler[]>, key: string): EventHandler[] {
  const list = lists.get(key) ?? []
  lists.set(key, list)
  return list
}
