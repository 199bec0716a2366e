import {
  GRADIENT_PROTOCOL,
  decodeGradientItem,
  decodeGradientOpen,
  encodeGradientItem,
  encodeGradientOpen
} from '../../protocols/gradient/messages.ts'
import { createTokenBuckets } from '../core/token-buckets.ts'
import { MeshError, toMeshError } from '../errors.ts'
import { createGradientReader, createGradientWriter, type NamedItem } from './gradient-names.ts'
import type { Protocol } from './protocol.ts'
import type { SequenceProofs } from './sequence-proofs.ts'
import type { Sessions } from './sessions.ts'

/** Items that wait for a neighbour that does not read; past it the session is ended, and begins anew with all that is to be told. */
export const MAX_UNSAID_ITEMS = 256

/** Items that a neighbour may tell in a time; past it the session is ended. */
export const ITEM_RATE = { perSecond: 100, burst: 2_000 } as const
/** Of them those that ask for all rows anew; more are ignored. */
export const DUMP_RATE = { perSecond: 1, burst: 10 } as const

/** What neighbours tell each other of their routes. A neighbour is `up` while both sides tell. */
export interface Gradient {
  protocol: Protocol
  /** Begins to tell a connected peer, unless this node does. Never rejects. */
  open(peer: string): Promise<void>
  isUp(peer: string): boolean
  /** Ends to tell a peer, and to hear it. */
  close(peer: string): void
  tell(peer: string, item: NamedItem): void
  stop(): void
}

/** What it needs. */
export interface GradientComponents {
  /** Of the gradient protocol. */
  sessions: Pick<Sessions, 'get'>
  proofs: SequenceProofs
  /** A neighbour is there from now on; nothing of its former session is heard any more. */
  onUp(peer: string): void
  onDown(peer: string): void
  onItem(peer: string, item: NamedItem): void
  onFault(peer: string, error: MeshError): void
  /** Monotonic ms. */
  now: () => number
}

/** What is told to one peer. */
interface Tale {
  unsaid: NamedItem[]
  wake: (() => void) | undefined
  stop: AbortController
  /** The exchange in which the peer tells; another one later is another session. */
  heard: object | undefined
}

/** See {@link Gradient}. */
export function createGradient(components: GradientComponents): Gradient {
  const { sessions, proofs, onUp, onDown, onItem, onFault, now } = components
  const items = createTokenBuckets(ITEM_RATE, now)
  const dumps = createTokenBuckets(DUMP_RATE, now)
  const tales = new Map<string, Tale>()
  const opening = new Map<string, Promise<void>>()
  let stopped = false

  async function* say(tale: Tale): AsyncGenerator<unknown, void, void> {
    const writer = createGradientWriter(proofs)
    while (!tale.stop.signal.aborted) {
      for (let item = tale.unsaid.shift(); item !== undefined; item = tale.unsaid.shift())
        yield encodeGradientItem(await writer.write(item))
      await new Promise<void>((resolve) => (tale.wake = resolve))
    }
  }

  function end(peer: string, tale: Tale, error: MeshError): void {
    if (tales.get(peer) !== tale) return
    tales.delete(peer)
    tale.stop.abort(error)
    tale.wake?.()
    onDown(peer)
  }

  async function open(peer: string): Promise<void> {
    if (stopped || tales.has(peer)) return
    try {
      const session = await sessions.get(peer)
      if (stopped || tales.has(peer)) return
      const tale: Tale = { unsaid: [], wake: undefined, stop: new AbortController(), heard: undefined }
      tales.set(peer, tale)
      onUp(peer)
      void listen(peer, tale, session.request(encodeGradientOpen(), { signal: tale.stop.signal, input: say(tale) }))
    } catch (error) {
      const mesh = toMeshError(error)
      if (mesh.code !== 'unavailable' && mesh.code !== 'unsupported') onFault(peer, mesh)
    }
  }

  /** Nothing comes back but the end. */
  async function listen(peer: string, tale: Tale, replies: AsyncGenerator<unknown, unknown, void>): Promise<void> {
    let error = new MeshError('unavailable', 'the peer hears no routes any more')
    try {
      const step = await replies.next()
      if (step.done !== true) error = new MeshError('protocol_error', 'the peer answers to routes')
    } catch (thrown) {
      error = toMeshError(thrown)
    }
    end(peer, tale, error)
    await replies.return(undefined).catch(() => undefined)
  }

  return {
    protocol: {
      id: GRADIENT_PROTOCOL,
      async *handle({ body, input }, peer) {
        decodeGradientOpen(body)
        const tale = await heardBy(peer, {})
        if (tale === undefined) throw new MeshError('unavailable', 'this node tells no routes now')
        const { heard } = tale
        const reader = createGradientReader(proofs)
        try {
          for await (const raw of input ?? []) {
            const item = await reader.read(decodeGradientItem(raw))
            if (tales.get(peer) !== tale || tale.heard !== heard) return null
            if (!items.take(peer)) throw new MeshError('busy', 'the peer tells of its routes too often', { reason: 'limit' })
            if (item.kind !== 'dump' || dumps.take(peer)) onItem(peer, item)
          }
        } finally {
          // What it told does not hold any more.
          if (tale.heard === heard) end(peer, tale, new MeshError('unavailable', 'the peer tells no routes any more'))
        }
        return null
      }
    },
    open(peer) {
      const pending = opening.get(peer) ?? open(peer).finally(() => opening.delete(peer))
      opening.set(peer, pending)
      return pending
    },
    isUp: (peer) => tales.has(peer),
    close(peer) {
      const tale = tales.get(peer)
      if (tale !== undefined) end(peer, tale, new MeshError('unavailable', 'nobody wants routes any more'))
    },
    tell(peer, item) {
      const tale = tales.get(peer)
      if (tale === undefined) return
      if (tale.unsaid.push(item) > MAX_UNSAID_ITEMS)
        return end(peer, tale, new MeshError('busy', 'the peer does not read routes'))
      tale.wake?.()
    },
    stop() {
      stopped = true
      for (const [peer, tale] of tales) end(peer, tale, new MeshError('unavailable', 'this node is stopping'))
    }
  }

  /** What this node tells to who begins to tell: a new one if it had told before, since both sides then begin anew. */
  async function heardBy(peer: string, heard: object): Promise<Tale | undefined> {
    const before = tales.get(peer)
    if (before?.heard !== undefined) end(peer, before, new MeshError('unavailable', 'the peer began anew'))
    await (opening.get(peer) ?? open(peer))
    const tale = tales.get(peer)
    if (tale !== undefined) tale.heard = heard
    return tale
  }
}
