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
export type RoutedBy = 'capability' | 'type' | 'sink'

/** Where an event goes. */
export interface EventRoute {
  /** Undefined if nobody is there to handle it. */
  by: RoutedBy | undefined
  /** See {@link handlerKey}; who is to be tried first, first. Each once. */
  handlers: string[]
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
}

/** How a handler is named: `capability@PeerId`. */
export function handlerKey({ node, capability }: Pick<EventHandler, 'node' | 'capability'>): string {
  return `${capability}@${node}`
}

/**
 * Who handles an event: whom the hint names, or else those of its type or domain, or else the sink. Whoever is named is waited for: nobody else gets what is meant
 * for it. The same source and subject go to the same handler as long as it is there, so that it can keep what it knows of them.
 */
export function routeEvent(event: EventToRoute, handlers: Iterable<EventHandler>): EventRoute {
  const all = [...handlers]
  const { hint, sink } = event
  const hinted = hint === undefined ? [] : fitting(event, hint, all)
  if (hinted.length > 0 || (hint !== undefined && isName(hint)))
    return { by: hinted.length === 0 ? undefined : isName(hint!) ? 'capability' : 'type', handlers: hinted }
  // What the sink itself raises would come back to it.
  const left = sink === undefined ? [] : fitting(event, sink, all).filter((one) => one !== handlerKey(event))
  return { by: left.length === 0 ? undefined : 'sink', handlers: left }
}

/** Which types a hint reaches: a glob over types, or a domain, `security` or `security/*`, which is any segment of theirs. */
export function reachesType(hint: string, type: string): boolean {
  const domain = /^([a-z0-9][a-z0-9._-]*)(\/\*{1,2})?$/.exec(hint)?.[1]
  return matchGlob(hint, type) || (domain !== undefined && type.split('/').includes(domain))
}

/** `capability:ID`, perhaps at one node, or what may fit a type. */
const HINT = /^(?:capability:[^\s@:]+(?:@[^\s@]+)?|[^\s:@]+)$/

/** @throws MeshError `invalid_argument` for a hint that can fit nothing. */
export function checkRouteHint({ id }: Pick<CapabilityDeclaration, 'id'>, { event, routeHint }: TriggerDeclaration): void {
  if (routeHint === undefined || HINT.test(routeHint)) return
  throw new MeshError(
    'invalid_argument',
    `the routeHint "${routeHint}" of trigger "${event}" of "${id}" fits nothing: it must be capability:ID, a glob over types such as agent/*, or a domain such as security`,
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

const isName = (hint: string): boolean => hint.startsWith('capability:')

function fitting({ node, capability, subject }: EventToRoute, hint: string, handlers: EventHandler[]): string[] {
  const [, id, at] = NAME.exec(hint) ?? []
  const fits = isName(hint)
    ? (one: EventHandler) => one.capability === id && (at === undefined || one.node === at)
    : // Nothing handles its own events unless it is named: that would raise the next one.
      (one: EventHandler) => reachesType(hint, one.type) && (one.capability !== capability || one.node !== node)
  const names = new Set(handlers.filter((one) => one.healthy && fits(one)).map(handlerKey))
  return rendezvousOrder(`${node} ${capability} ${subject ?? ''}`, [...names])
}
