import {
  MAX_ROUTE_NAMES,
  NO_ROUTE,
  type GradientItem,
  type OriginName,
  type RouteRowMessage
} from '../../protocols/gradient/messages.ts'
import { originBytes } from '../core/document.ts'
import type { SequenceNumber } from '../core/routing/sequence.ts'
import { MeshError } from '../errors.ts'
import { peerIdOf } from './peer-id-bytes.ts'
import type { SequenceProofs } from './sequence-proofs.ts'

/** A row with the PeerId of its origin. */
export interface NamedRow extends SequenceNumber {
  origin: string
  metric: number
  hops: number
}

/** What is said in the gradient protocol, with PeerIds for origins. */
export type NamedItem =
  | { kind: 'rows'; rows: NamedRow[]; full: boolean }
  | { kind: 'wants'; all?: boolean; add: string[]; drop: string[] }
  /** `proven`: the origin has signed the number before. */
  | ({ kind: 'request'; origin: string; ttl: number; proven: boolean } & SequenceNumber)
  | { kind: 'digest'; digest: number; count: number }
  | { kind: 'dump' }

/** Origins by number, and sequence numbers with their proofs where the other side has not heard them: what one side says on one session. */
export interface GradientWriter {
  write(item: NamedItem): Promise<GradientItem>
}

/** The other side of it. */
export interface GradientReader {
  /** Rows whose sequence number is not proven come as retractions. @throws MeshError `protocol_error`. */
  read(item: GradientItem): Promise<NamedItem>
}

const before = ({ incarnation, sequence }: SequenceNumber): SequenceNumber => ({ incarnation, sequence: sequence - 1 })

/** For one session. @throws MeshError `too_large` when it has no more numbers. */
export function createGradientWriter(proofs: Pick<SequenceProofs, 'of'>): GradientWriter {
  const numbers = new Map<string, number>()
  const told = new Map<string, string>()

  function nameOf(origin: string): OriginName {
    const number = numbers.get(origin)
    if (number !== undefined) return number
    if (numbers.size >= MAX_ROUTE_NAMES) throw new MeshError('too_large', 'too many origins were named on one session')
    numbers.set(origin, numbers.size)
    return originBytes(origin)
  }

  async function rowOf({ origin, incarnation, sequence, metric, hops }: NamedRow): Promise<RouteRowMessage> {
    const row = { origin: nameOf(origin), incarnation, sequence, metric, hops }
    const key = `${incarnation}.${sequence}`
    if (metric === NO_ROUTE || told.get(origin) === key) return row
    const signature = await proofs.of(origin, row)
    // One whose proof was forgotten cannot be told.
    if (signature === undefined) return { ...row, metric: NO_ROUTE }
    told.set(origin, key)
    return { ...row, signature }
  }

  return {
    async write(item) {
      if (item.kind === 'rows') {
        const rows: RouteRowMessage[] = []
        for (const row of item.rows) rows.push(await rowOf(row))
        return { kind: 'rows', rows, full: item.full }
      }
      if (item.kind === 'wants') return { ...item, add: item.add.map(nameOf), drop: item.drop.map(nameOf) }
      if (item.kind !== 'request') return item
      const { origin, incarnation, sequence, ttl } = item
      const signature = await proofs.of(origin, before(item))
      return { kind: 'request', origin: nameOf(origin), incarnation, sequence, ttl, signature }
    }
  }
}

/** Signatures that are none of their origin, after which a session is ended: each costs a check. */
export const MAX_BAD_PROOFS = 16

/** For one session. */
export function createGradientReader(proofs: Pick<SequenceProofs, 'check'>): GradientReader {
  const origins: string[] = []
  let bad = 0

  function originOf(name: OriginName): string {
    if (typeof name !== 'number') {
      if (origins.length >= MAX_ROUTE_NAMES) throw new MeshError('protocol_error', 'too many origins were named on one session')
      const origin = peerIdOf(name)
      origins.push(origin)
      return origin
    }
    const origin = origins[name]
    if (origin === undefined) throw new MeshError('protocol_error', 'the number of an origin that was not named')
    return origin
  }

  async function rowOf({ origin: name, signature, ...row }: RouteRowMessage): Promise<NamedRow> {
    const origin = originOf(name)
    if (row.metric === NO_ROUTE || (await proofs.check(origin, row, signature))) return { ...row, origin }
    if (signature !== undefined && ++bad > MAX_BAD_PROOFS)
      throw new MeshError('protocol_error', 'too many signatures that are not those of their origins')
    return { ...row, origin, metric: NO_ROUTE }
  }

  return {
    async read(item) {
      if (item.kind === 'rows') {
        const rows: NamedRow[] = []
        for (const row of item.rows) rows.push(await rowOf(row))
        return { kind: 'rows', rows, full: item.full }
      }
      if (item.kind === 'wants')
        return {
          kind: 'wants',
          ...(item.all !== undefined && { all: item.all }),
          add: item.add.map(originOf),
          drop: item.drop.map(originOf)
        }
      if (item.kind !== 'request') return item
      const { incarnation, sequence, ttl, signature } = item
      const origin = originOf(item.origin)
      const proven = await proofs.check(origin, before(item), signature)
      return { kind: 'request', origin, incarnation, sequence, ttl, proven }
    }
  }
}
