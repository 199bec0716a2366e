/** Whom an event means that goes to nobody now, and why they take none: so that whoever fires it knows what to do. */
import type { CapabilityDeclaration } from '../protocols/capability.ts'
import { isCallable, type Offer } from './core/candidates.ts'
import { statusOf } from './core/query.ts'
import { createEventRoutes, handlerKey, type EventToRoute } from './core/triggers/trigger-routes.ts'
import type { AwayHandlerView, FireView, WaitingEventView } from './mesh-api-events.ts'

/** Most handlers that are named of one event. */
export const MAX_AWAY = 16

/** What it needs. */
export interface AwayHandlersComponents {
  self: string
  sink: string | undefined
  /** A capability of this node. */
  find(capability: string): CapabilityDeclaration | undefined
  /** Everything that is offered now, by this node and others. */
  offers(): readonly Offer[]
}

/** Adds who is meant to what programs are told of events. */
export interface AwayHandlers {
  /** What was fired. */
  fired(view: FireView, capability: string, event: string): FireView
  /** What waits. */
  waiting(views: readonly WaitingEventView[]): WaitingEventView[]
}

/** See {@link AwayHandlers}. */
export function createAwayHandlers({ self, sink, find, offers }: AwayHandlersComponents): AwayHandlers {
  function awayFrom(capability: string, event: string): AwayHandlerView[] {
    const declared = find(capability)?.triggers?.find((trigger) => trigger.event === event)
    if (declared === undefined) return []
    return awayHandlers({ hint: declared.routeHint, sink, node: self, capability, subject: undefined }, offers())
  }

  return {
    fired(view, capability, event) {
      const isNobodyThere = view.reason === 'no_handler' || (view.reason === 'not_kept' && view.tried.length === 0)
      return isNobodyThere ? withAway(view, awayFrom(capability, event)) : view
    },
    waiting(views) {
      // Thousands may wait for the same.
      const known = new Map<string, AwayHandlerView[]>()
      return views.map((view) => {
        if (view.reason !== 'no_handler') return view
        const key = `${view.capability} ${view.event}`
        const away = known.get(key) ?? awayFrom(view.capability, view.event)
        known.set(key, away)
        return withAway(view, away)
      })
    }
  }
}

/** Those that an event would go to if they took events; {@link MAX_AWAY} of them at most. */
export function awayHandlers(event: EventToRoute, offers: readonly Offer[]): AwayHandlerView[] {
  const handlers = new Map(
    offers
      .filter(({ capability }) => capability.handles !== undefined)
      .map((offer) => [handlerKey({ node: offer.node, capability: offer.id }), offer])
  )
  const asIfThere = [...handlers.values()].map(({ node, id, type }) => ({ node, capability: id, type, healthy: true }))
  const away = [...createEventRoutes(asIfThere).route(event).handlers].map((key) => handlers.get(key)!)
  return away
    .filter((offer) => offer.blocked === true || !isCallable(offer))
    .slice(0, MAX_AWAY)
    .map(viewOf)
}

function viewOf({ node, id, local, blocked, capability }: Offer): AwayHandlerView {
  const status = statusOf(capability)
  const state = status === 'suspended' || status === 'offline' ? status : 'blocked'
  const reason = blocked === true && state === 'blocked' ? undefined : capability.statusReason
  const isAgent = capability.tools?.some(({ name }) => name === 'ask') === true
  return { handler: handlerKey({ node, capability: id }), state, ...(reason !== undefined && { reason }), isAgent, local }
}

function withAway<View extends object>(view: View, away: AwayHandlerView[]): View {
  return away.length === 0 ? view : { ...view, away }
}
