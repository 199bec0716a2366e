/** Payloads that events of other nodes refer to: got from their sources, checked, and kept until the event is over. */
import { sha256 } from '@noble/hashes/sha2.js'
import { toString } from 'uint8arrays/to-string'
import type { JsonValue } from '../../protocols/json.ts'
import { PAYLOAD_TYPE, decodePayload, type DataRef } from '../../protocols/trigger/messages.ts'
import { BUSY_MS } from '../core/triggers/inbox-contract.ts'
import { createTurns, type Turns } from '../core/triggers/turns.ts'
import { MeshError, toMeshError } from '../errors.ts'
import type { ArrivedEvent } from './handling.ts'
import { joined, type PayloadStore } from './payload-store.ts'

/** Payloads that are fetched at once. */
export const MAX_FETCHES = 8
/** Of one node. */
export const MAX_FETCHES_OF_NODE = 2
/** Payloads of one node that are not here yet; past it the answer is `busy`. */
export const MAX_PENDING_OF_NODE = 64
/** Bytes of those that handlers have at once; a larger one alone. */
export const MAX_LOADED_BYTES = 32 * 1024 * 1024
/** A payload that takes longer to come has failed, in ms: who trickles it holds a turn no longer. It is tried again. */
export const FETCH_WITHIN_MS = 30_000
/** So much longer for each MiB, in ms: 35 KiB in a second. */
export const FETCH_WITHIN_MS_PER_MIB = 30_000

/** A payload for a handler. */
export interface Loaded {
  value: JsonValue
  /** It is handled. */
  release(): void
}

/** See {@link createPayloadArrivals}. */
export interface PayloadArrivals {
  /**
   * Those of `kept` that were over before the restart, though the log does not say so yet: a payload is there before its event is written down, so one
   * that is gone was deleted since.
   */
  readonly over: ReadonlySet<ArrivedEvent>
  /** Whether there is room for the payload of an event that comes in now. @throws MeshError `busy`; `unsupported` for a type that this node does not read. */
  admit(event: ArrivedEvent): void
  /** Resolves once the payload of the event is here; undefined if it is, or is in the event. Rejects with MeshError: how the event has failed. */
  get(event: ArrivedEvent): Promise<void> | undefined
  /** It is not over. */
  has(event: ArrivedEvent): boolean
  /** Reads it. Rejects with MeshError. */
  load(event: ArrivedEvent, signal: AbortSignal): Promise<Loaded>
  /** The event is tried again: what has not come is got anew. */
  again(event: ArrivedEvent): void
  /** The event is over. @param written once that is written down, or cannot be: until then the payload stays. Default: it is. */
  release(event: ArrivedEvent, written?: Promise<void>): void
  stop(): void
}

/** What they need. */
export interface PayloadArrivalsComponents {
  /** PeerId of this node. */
  self: string
  store: PayloadStore
  /** From the source of an event. @param hash lower-case hex. */
  fetch(node: string, hash: string, signal: AbortSignal): AsyncIterable<Uint8Array>
  /** Of an event of this node itself, which it keeps as their source. */
  own(hash: string): AsyncIterable<Uint8Array>
  /** Whether it does: no longer than it is their source. */
  holdsOwn(hash: string): boolean
  /** Events that were accepted before a restart: what belongs to no other goes. */
  kept: readonly ArrivedEvent[]
  /** How long one of so many bytes may take to come. Default: {@link FETCH_WITHIN_MS}. */
  withinMs?: (size: number) => number
}

interface Arrival {
  size: number
  node: string
  events: Set<string>
  abort: AbortController
  here: Promise<void>
  hasFailed: boolean
}

/** With the size: what an event says of it is checked for that event, also if another one has said otherwise of the same hash. */
const nameOf = (node: string, { hash, size }: DataRef): string => `${node}-${hash}-${size}`
const keyOf = ({ handler, id }: Pick<ArrivedEvent, 'handler' | 'id'>): string => `${handler} ${id}`

/** A payload is got once for all capabilities here that handle its event. One node has half of the room, and two of eight turns. */
export function createPayloadArrivals(components: PayloadArrivalsComponents): PayloadArrivals {
  const { self, store, fetch, own, holdsOwn, kept, withinMs = fetchWithinMs } = components
  const arrivals = new Map<string, Arrival>()
  const all = createTurns(MAX_FETCHES)
  const ofNode = new Map<string, Turns>()
  const loaded = createTurns(MAX_LOADED_BYTES)
  const bytesOf = new Map<string, number>()
  const pendingOf = new Map<string, number>()
  /** Names that are being deleted. */
  const going = new Map<string, Promise<void>>()
  let total = 0
  /** What was there at the start, until what was accepted before that is looked at. */
  const initial = new Map(store.initial)

  function reserve(node: string, size: number): void {
    total += size
    add(bytesOf, node, size)
  }

  /** Both turns: that of its node first, so that one node holds up no other. */
  async function inTurn(node: string, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    const turns = ofNode.get(node) ?? createTurns(MAX_FETCHES_OF_NODE)
    ofNode.set(node, turns)
    try {
      const leaveNode = await turns.enter(1, signal)
      try {
        const leave = await all.enter(1, signal)
        await work().finally(leave)
      } finally {
        leaveNode()
      }
    } finally {
      if (turns.size === 0) ofNode.delete(node)
    }
  }

  function begin({ node }: ArrivedEvent, ref: DataRef, name: string, abort: AbortController): Promise<void> {
    if (initial.get(name) === ref.size) return Promise.resolve()
    const { signal } = abort
    return inTurn(node, signal, async () => {
      const timer = setTimeout(
        () => abort.abort(new MeshError('deadline_exceeded', 'the payload took too long to come', { retryable: true })),
        withinMs(ref.size)
      )
      timer.unref?.()
      try {
        await going.get(name)
        await store.write(name, checked(fetch(node, ref.hash, signal), ref))
      } finally {
        clearTimeout(timer)
      }
    })
  }

  function forget(name: string, arrival: Arrival, written?: Promise<void>): void {
    if (arrivals.get(name) !== arrival) return
    arrivals.delete(name)
    reserve(arrival.node, -arrival.size)
    arrival.abort.abort(new MeshError('cancelled', 'the event is over'))
    // Once nothing more is written of it, and its event does not come back by a restart. If it comes again, that waits for this.
    const gone: Promise<void> = Promise.allSettled([arrival.here, written])
      .then(() => store.delete(name))
      .then(() => void (going.get(name) === gone && going.delete(name)))
    going.set(name, gone)
  }

  function get(event: ArrivedEvent): Promise<void> | undefined {
    const { node } = event
    const ref = event.event.dataRef
    if (ref === undefined || node === self) return undefined
    const name = nameOf(node, ref)
    const known = arrivals.get(name)
    if (known !== undefined) {
      known.events.add(keyOf(event))
      return known.here
    }
    const abort = new AbortController()
    reserve(node, ref.size)
    add(pendingOf, node, 1)
    const arrival: Arrival = {
      size: ref.size,
      node,
      events: new Set([keyOf(event)]),
      abort,
      hasFailed: false,
      here: begin(event, ref, name, abort)
    }
    const isOver = (): void => add(pendingOf, node, -1)
    // Who asks for it is told, also later; as long as the event is not over, or tried again, it is not got anew.
    arrival.here.then(isOver, () => {
      arrival.hasFailed = true
      isOver()
    })
    arrivals.set(name, arrival)
    return arrival.here
  }

  function admit({ node, event: { dataRef, dataContentType } }: ArrivedEvent): void {
    if (dataRef === undefined || node === self) return
    if (dataContentType !== PAYLOAD_TYPE) {
      const message = `this node reads no payloads of type ${dataContentType ?? 'unknown'}`
      throw new MeshError('unsupported', message, { retryable: true })
    }
    if (arrivals.has(nameOf(node, dataRef))) return
    const { size } = dataRef
    const hasRoom = total + size <= store.maxBytes && (bytesOf.get(node) ?? 0) + size <= store.maxBytes / 2
    if (!hasRoom || (pendingOf.get(node) ?? 0) >= MAX_PENDING_OF_NODE)
      throw new MeshError('busy', 'there is no room for the payload now', { retryAfterMs: BUSY_MS })
  }

  const over = new Set(kept.filter(wasOver))
  const restored = new Set(kept.flatMap(({ node, event: { dataRef } }) => (dataRef === undefined ? [] : [nameOf(node, dataRef)])))
  for (const name of store.initial.keys()) if (!restored.has(name)) void store.delete(name)
  for (const event of kept) if (!over.has(event)) void get(event)
  initial.clear()

  function wasOver({ node, event: { dataRef } }: ArrivedEvent): boolean {
    if (dataRef === undefined) return false
    return node === self ? !holdsOwn(dataRef.hash) : store.initial.get(nameOf(node, dataRef)) !== dataRef.size
  }

  return {
    over,
    admit,
    get,
    again(event) {
      const ref = event.event.dataRef
      const name = ref === undefined ? '' : nameOf(event.node, ref)
      const arrival = arrivals.get(name)
      if (arrival?.hasFailed !== true) return
      const events = [...arrival.events]
      forget(name, arrival)
      void get(event)
      for (const key of events) arrivals.get(name)?.events.add(key)
    },
    has({ node, event: { dataRef }, ...event }) {
      return dataRef === undefined || arrivals.get(nameOf(node, dataRef))?.events.has(keyOf(event)) === true
    },
    async load(event, signal) {
      const ref = event.event.dataRef
      if (ref === undefined) return { value: event.event.data, release: () => undefined }
      const release = await loaded.enter(ref.size, signal)
      try {
        const parts = event.node === self ? own(ref.hash) : store.read(nameOf(event.node, ref))
        return { value: decodePayload(await joined(parts)), release }
      } catch (error) {
        release()
        throw toMeshError(error)
      }
    },
    release(event, written) {
      const ref = event.event.dataRef
      const name = ref === undefined ? '' : nameOf(event.node, ref)
      const arrival = arrivals.get(name)
      if (arrival === undefined) return
      arrival.events.delete(keyOf(event))
      if (arrival.events.size === 0) forget(name, arrival, written)
    },
    stop() {
      for (const { abort } of arrivals.values()) abort.abort(new MeshError('unavailable', 'the node is stopping'))
    }
  }
}

/** See {@link FETCH_WITHIN_MS}. */
const fetchWithinMs = (size: number): number => FETCH_WITHIN_MS + (size / 1_048_576) * FETCH_WITHIN_MS_PER_MIB

function add(counts: Map<string, number>, node: string, count: number): void {
  const left = (counts.get(node) ?? 0) + count
  if (left > 0) counts.set(node, left)
  else counts.delete(node)
}

/** Lets through what is as the event says. @throws MeshError `protocol_error`: its source will not have another one. */
async function* checked(parts: AsyncIterable<Uint8Array>, { hash, size }: DataRef): AsyncGenerator<Uint8Array, void, void> {
  const digest = sha256.create()
  let bytes = 0
  for await (const part of parts) {
    bytes += part.length
    if (bytes > size) break
    digest.update(part)
    yield part
  }
  if (bytes !== size) throw notAsSaid(`${bytes > size ? 'over' : bytes} bytes, not the ${size} that the event says`)
  if (toString(digest.digest(), 'base16') !== hash) throw notAsSaid('not the one that the event says')
}

const notAsSaid = (what: string): MeshError =>
  new MeshError('protocol_error', `the payload that came is ${what}`, { retryable: false })
