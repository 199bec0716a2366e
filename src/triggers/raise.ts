/** How an event comes to be: what a capability raises, checked, put in words, held back where it comes too often, numbered and encoded. */
import type { CapabilityDeclaration, TriggerDeclaration } from '../../protocols/capability.ts'
import { sha256 } from '@noble/hashes/sha2.js'
import { toString } from 'uint8arrays/to-string'
import {
  MAX_EVENT_AGE_MS,
  MAX_REFERENCED_BYTES,
  PAYLOAD_TYPE,
  decodePayload,
  encodeEvent,
  type DataRef,
  type Priority
} from '../../protocols/trigger/messages.ts'
import { encodeCbor } from '../../protocols/cbor.ts'
import type { Offer } from '../core/candidates.ts'
import { checkCauses } from '../core/causes.ts'
import type { JsonValue } from '../core/invoke.ts'
import { nearest } from '../../protocols/nearest.ts'
import { validate } from '../core/schema.ts'
import { createDebounce } from '../core/triggers/debounce.ts'
import { createEventNumbers } from '../core/triggers/event-numbers.ts'
import { compileSubject, firingKey, type SubjectOf } from '../core/triggers/event-subject.ts'
import { fired, type Firing } from '../core/triggers/firing.ts'
import { hopDepthAfter } from '../core/triggers/hop-depth.ts'
import { compileIntent, type IntentText } from '../core/triggers/intent-template.ts'
import type { Added, OutboxEvent } from '../core/triggers/outbox-contract.ts'
import { createThrottle, throttleMsOf } from '../core/triggers/throttle.ts'
import { fanOutOf, priorityOf, type EventToRoute } from '../core/triggers/trigger-routes.ts'
import { MeshError } from '../errors.ts'

/** Largest payload within an event, encoded, in bytes: beside it the event has room for what is said of it. A larger one goes by reference. */
export const MAX_PAYLOAD_BYTES = 54 * 1024

/** Most names of triggers that an error has. */
const MAX_KNOWN = 32

/** What goes with an event that is raised while another one is handled. */
export interface RaiseOptions {
  /** How many events that one follows from. */
  depth?: number
  /** PeerIds on whose behalf, who began it first. */
  causes?: readonly string[]
  /** W3C Trace Context, https://www.w3.org/TR/trace-context/ */
  traceparent?: string
  /** See {@link RaisedEvent.key}. */
  key?: string
  /** See {@link RaisedEvent.digest}. */
  digest?: string
}

/** An event that is to be delivered. */
export interface RaisedEvent extends OutboxEvent {
  of: string
  encoded: Uint8Array
  route: EventToRoute
  capability: string
  event: string
  subject: string | undefined
  intent: string
  priority: Priority
  causes: readonly string[]
  /** To its payload, where that is not in it. */
  dataRef?: DataRef | undefined
  /** What it was fired with, capability and trigger included: with the same one it is the same event. */
  key?: string | undefined
  /** Of the payload that it was fired with, if it has a key. */
  digest?: string | undefined
}

/** What came of raising: an event, or what was raised goes into one that comes later, or nowhere. */
export type Raised =
  { outcome: 'raised'; event: RaisedEvent; added: Added } | { outcome: 'coalesced' } | { outcome: 'dropped'; reason: 'too_deep' }

/** See {@link createRaise}. */
export interface Raise {
  /** @throws MeshError `unknown_capability`, `unknown_trigger`, `invalid_argument`, `too_large`. */
  raise(capability: string, event: string, payload: JsonValue, options?: RaiseOptions): Raised
  tick(now: number): void
  /** When `tick` is next to be called; Infinity if nothing waits. */
  readonly nextAt: number
  /** Lets go what is held back: the node stops. */
  flush(): void
}

/** What it needs. */
export interface RaiseComponents {
  /** PeerId, and id of the mesh. */
  self: string
  mesh: string
  incarnation: number
  /** 0 to 1. */
  random: () => number
  /** A capability of this node. */
  find(capability: string): CapabilityDeclaration | undefined
  /** All that is offered now, by this node and others: for who names what this one does not have. */
  offers(): readonly Pick<Offer, 'id' | 'local' | 'nodeName'>[]
  /** @param payload encoded, where it is not in the event. */
  add(event: RaisedEvent, payload: Uint8Array | undefined): Added
  /** Where what reaches nobody else goes: a hint. */
  sink: string | undefined
  /** Monotonic ms. */
  now: () => number
  /** Wall clock, ms since 1970: for people to read, and for where numbers begin. */
  clock: () => number
}

interface Compiled {
  type: string
  trigger: TriggerDeclaration
  intentOf: IntentText
  subjectOf: SubjectOf
}

interface Pending {
  compiled: Compiled
  capability: string
  subject: string | undefined
  payload: JsonValue
  options: RaiseOptions & { depth: number }
}

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** Compiles what is declared, once for each declaration. */
export function createRaise(components: RaiseComponents): Raise {
  const { self, mesh, incarnation, random, find, add, sink, now, clock } = components
  const numbers = createEventNumbers({ incarnation, random, startedAt: clock() })
  const compiled = new WeakMap<TriggerDeclaration, Compiled>()
  const throttle = createThrottle<Pending>((key, firing) => {
    const made = release(firing)
    if (key === firingKeyNow) last = made
  })
  const debounce = createDebounce<Pending>((key, firing) => pass(key, firing))
  /** Of the key that is being fired, what was let go last. */
  let last: Raised | undefined
  let firingKeyNow: string | undefined

  function triggerOf(capability: string, event: string): Compiled {
    const declaration = find(capability)
    if (declaration === undefined) throw unknownCapability(capability, components.offers())
    const trigger = declaration.triggers?.find((one) => one.event === event)
    if (trigger === undefined) {
      const known = (declaration.triggers ?? []).map((one) => one.event)
      const near = nearest(event, known)
      const hint =
        near !== undefined
          ? `; did you mean "${near}"?`
          : known.length > 0
            ? `; it has ${known.slice(0, MAX_KNOWN).join(', ')}`
            : ''
      const details = { capability, event, ...(near !== undefined && { near }), known: known.slice(0, MAX_KNOWN) }
      throw new MeshError('unknown_trigger', `"${capability}" declares no trigger "${event}"${hint}`, details)
    }
    const before = compiled.get(trigger)
    if (before !== undefined) return before
    const made = {
      type: declaration.type,
      trigger,
      intentOf: compileIntent(declaration, trigger),
      subjectOf: compileSubject(declaration, trigger)
    }
    compiled.set(trigger, made)
    return made
  }

  function pass(key: string, firing: Firing<Pending>): 'fired' | 'coalesced' {
    return throttle.fire(key, firing, throttleMsOf(firing.payload.compiled.trigger), now())
  }

  /** It is an event now. */
  function release({ payload: pending, bytes, count, firstAt, lastAt }: Firing<Pending>): Raised {
    const { compiled, capability, subject, payload, options } = pending
    const { trigger, type } = compiled
    const of = firingKey(capability, '', subject)
    const { id, sequence } = numbers.next(of)
    const timeOf = (at: number): string => new Date(clock() - (now() - at)).toISOString()
    const intent = compiled.intentOf(payload)
    const priority = priorityOf(trigger)
    const large = bytes > MAX_PAYLOAD_BYTES ? encodeCbor(payload) : undefined
    const dataRef = large && { hash: toString(sha256(large), 'base16'), size: large.length }
    const encoded = encodeEvent({
      id,
      source: { mesh, node: self, capability },
      type: `${type.replaceAll('/', '.')}.${trigger.event}`,
      subject,
      time: timeOf(lastAt),
      sequence,
      priority,
      routeHint: trigger.routeHint,
      traceparent: options.traceparent,
      hopDepth: options.depth,
      intent,
      coalesced: count > 1 ? { count, from: timeOf(firstAt) } : undefined,
      ...(dataRef === undefined ? { data: payload } : { data: null, dataRef, dataContentType: PAYLOAD_TYPE })
    })
    const event: RaisedEvent = {
      id,
      priority,
      bytes: encoded.length + (dataRef?.size ?? 0),
      of,
      sequence,
      fanOut: fanOutOf(trigger),
      expiresMs: Math.min(MAX_EVENT_AGE_MS, trigger.expiresMs ?? MAX_EVENT_AGE_MS),
      encoded,
      route: { hint: trigger.routeHint, sink, node: self, capability, subject, text: intent },
      capability,
      event: trigger.event,
      subject,
      intent,
      causes: options.causes ?? [],
      ...(dataRef !== undefined && { dataRef }),
      key: options.key,
      ...(options.digest !== undefined && { digest: options.digest })
    }
    return { outcome: 'raised', event, added: add(event, large) }
  }

  return {
    raise(capability, event, given, options = {}) {
      const found = triggerOf(capability, event)
      const payload = validate(found.trigger.payload, given, 'own', `payload of "${event}"`)
      const bytes = encodeCbor(payload).length
      checkSize(payload, bytes)
      if (options.causes !== undefined && options.causes.length > 0) checkCauses(options.causes)
      if (options.traceparent !== undefined && !TRACEPARENT.test(options.traceparent))
        throw new MeshError('invalid_argument', 'traceparent must be as W3C Trace Context has it', { key: 'traceparent' })
      if (options.key !== undefined && (found.trigger.throttleMs ?? 0) + (found.trigger.debounceMs ?? 0) > 0)
        throw new MeshError('invalid_argument', `"${event}" is held back with others: its events have no keys of their own`, {
          key: 'key'
        })
      const depth = hopDepthAfter(options.depth)
      if (depth === undefined) return { outcome: 'dropped', reason: 'too_deep' }
      const subject = found.subjectOf(payload)
      const pending = { compiled: found, capability, subject, payload, options: { ...options, depth } }
      const key = firingKey(capability, event, subject)
      const firing = fired<Pending>(pending, bytes, now())
      const quietMs = found.trigger.debounceMs ?? 0
      if (quietMs > 0) debounce.fire(key, firing, quietMs, now())
      else {
        firingKeyNow = key
        if (pass(key, firing) === 'fired') return last!
      }
      return { outcome: 'coalesced' }
    },
    tick(at) {
      debounce.tick(at)
      throttle.tick(at)
    },
    get nextAt() {
      return Math.min(debounce.nextAt, throttle.nextAt)
    },
    flush() {
      debounce.flush()
      throttle.flush()
    }
  }
}

/** Events are raised where their capability is: one of another node is named with it, and is no typo. */
function unknownCapability(capability: string, offers: ReturnType<RaiseComponents['offers']>): MeshError {
  const elsewhere = offers.find(({ id, local }) => id === capability && !local)
  const own = new Set(offers.flatMap(({ id, local }) => (local ? [id] : [])))
  const near = elsewhere === undefined ? nearest(capability, own) : undefined
  const whose = elsewhere === undefined ? '' : `, ${elsewhere.nodeName} does`
  const hint = near === undefined ? 'events are raised where it is, see atmo capabilities' : `did you mean "${near}"?`
  const details = { capability, ...(near !== undefined && { near }) }
  return new MeshError('unknown_capability', `this node does not offer "${capability}"${whose}; ${hint}`, details)
}

/** @throws MeshError `too_large`, also for one that no handler would read. */
function checkSize(payload: JsonValue, bytes: number): void {
  if (bytes <= MAX_PAYLOAD_BYTES) return
  const details = { bytes, limit: MAX_REFERENCED_BYTES }
  const hint = 'raise what it is about, and let the handler call for the rest'
  if (bytes > MAX_REFERENCED_BYTES)
    throw new MeshError('too_large', `the payload is ${bytes} bytes, the limit is ${MAX_REFERENCED_BYTES}: ${hint}`, details)
  try {
    decodePayload(encodeCbor(payload))
  } catch (error) {
    throw new MeshError('too_large', `the payload holds too much for a handler to read: ${hint}`, details, { cause: error })
  }
}
