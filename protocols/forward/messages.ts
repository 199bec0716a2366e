import { MeshError } from '../errors.ts'
import { asArray, asBytes, asMap, asUint, optional } from '../shape.ts'
import { MAX_ROUTE_METRIC } from '../gradient/messages.ts'

/** Protocol id: how nodes pass on what others send to each other. */
export const FORWARD_PROTOCOL = '/atmosphere/forward/1'
/** Bytes of the id of a circuit: random, made by its source. */
export const CIRCUIT_ID_BYTES = 16
/** Bytes in one item. */
export const MAX_FORWARD_BYTES = 64 * 1024
/** Hops that a circuit may still go. */
export const MAX_FORWARD_TTL = 64
/** Longest time that a circuit waits for its first answer, in ms. */
export const MAX_FORWARD_WAIT_MS = 10_000
/** Most nodes on the way of a circuit, its source left out. */
export const MAX_FORWARD_PATH = MAX_FORWARD_TTL + 1
const MAX_ID_BYTES = 64
const MAX_UINT32 = 0xffff_ffff

/** The sender's feasible distance of the destination: the best that it has ever told of it. It gets better with each hop: a smaller metric, or a newer number. */
export interface Potential {
  incarnation: number
  sequence: number
  /** Units of 0.1 ms. */
  metric: number
}

/** Body of the open frame: asks a neighbour to pass a circuit on. */
export interface ForwardRequest {
  /** PeerIds as multihash bytes: who the circuit is to, and from. */
  destination: Uint8Array
  source: Uint8Array
  circuit: Uint8Array
  /** Hops that it may still go after the reader. */
  ttl: number
  potential: Potential
  /** How long the reader may wait for an answer to the first bytes, in ms: less than the sender does, so that who is nearer to where they are swallowed sees it first. */
  waitMs?: number | undefined
  /** Only asks who is on the way: each node names itself, and no connection comes of it. */
  trace: boolean
}

/** What comes back: first the nodes on the way, the reader's neighbour first; then what the destination sends. */
export type ForwardReply =
  | { kind: 'path'; nodes: Uint8Array[] }
  /** Of a trace: a node on the way names itself. */
  | { kind: 'hop'; node: Uint8Array }
  | { kind: 'bytes'; bytes: Uint8Array }

/** Body of the open frame. */
export function encodeForwardRequest(request: ForwardRequest): unknown {
  const { destination, source, circuit, ttl, potential, waitMs, trace } = request
  const { incarnation, sequence, metric } = potential
  return {
    d: destination,
    s: source,
    c: circuit,
    l: ttl,
    p: [incarnation, sequence, metric],
    w: waitMs,
    ...(trace && { t: true })
  }
}

/** @throws MeshError `protocol_error`. */
export function decodeForwardRequest(body: unknown): ForwardRequest {
  const map = asMap(body, 'open')
  const f = asArray(map['p'], 'p', 8)
  const trace = optional(map['t'], asTrue)
  return {
    destination: asBytes(map['d'], 'd', MAX_ID_BYTES, 2),
    source: asBytes(map['s'], 's', MAX_ID_BYTES, 2),
    circuit: asBytes(map['c'], 'c', CIRCUIT_ID_BYTES, CIRCUIT_ID_BYTES),
    ttl: asUint(map['l'], 'l', MAX_FORWARD_TTL),
    potential: {
      incarnation: asUint(f[0], 'incarnation', MAX_UINT32),
      sequence: asUint(f[1], 'sequence', MAX_UINT32),
      metric: asUint(f[2], 'metric', MAX_ROUTE_METRIC)
    },
    waitMs: optional(map['w'], (value) => asUint(value, 'w', MAX_FORWARD_WAIT_MS)),
    trace: trace ?? false
  }
}

/** Body of an item that comes back. */
export function encodeForwardReply(reply: ForwardReply): unknown {
  if (reply.kind === 'bytes') return reply.bytes
  return reply.kind === 'path' ? { p: reply.nodes } : { h: reply.node }
}

/** @throws MeshError `protocol_error`. */
export function decodeForwardReply(body: unknown): ForwardReply {
  if (body instanceof Uint8Array) return { kind: 'bytes', bytes: decodeForwardBytes(body) }
  const map = asMap(body, 'item')
  if (map['h'] !== undefined) return { kind: 'hop', node: asBytes(map['h'], 'h', MAX_ID_BYTES, 2) }
  const nodes = asArray(map['p'], 'p', MAX_FORWARD_PATH).map((node) => asBytes(node, 'p', MAX_ID_BYTES, 2))
  if (nodes.length === 0) throw new MeshError('protocol_error', 'a way on which there is nobody')
  return { kind: 'path', nodes }
}

/** Body of an item of the source: what it sends. @throws MeshError `protocol_error`. */
export function decodeForwardBytes(body: unknown): Uint8Array {
  return asBytes(body, 'item', MAX_FORWARD_BYTES, 1)
}

function asTrue(value: unknown): true {
  if (value !== true) throw new MeshError('protocol_error', 'field "t" of a peer\'s message must be true or be left out')
  return value
}
