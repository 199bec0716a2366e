import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { ApprovalView, CallApproval, JoinApproval } from '../core/approval.ts'
import { MeshError, abortError } from '../errors.ts'

/** Calls that wait for their owner at once, all callers together and of one caller. Nodes that ask to join have a limit of their own. */
export const MAX_WAITING = { all: 64, caller: 8 } as const
/** Longest time that an approval may be given for, in ms: a day. */
export const MAX_GRANT_MS = 86_400_000
/** Approvals that are given for a time at once; the oldest ends first. */
const MAX_GRANTS = 1_024
/** Longest input that a list of what waits shows, in characters of JSON; the whole one is read by its id. */
export const MAX_SHOWN_INPUT = 2_000

/** What needs a yes. */
export type ApprovalRequest = {
  /** PeerId, proved. */
  caller: string
} & (Omit<CallApproval, 'inputCut' | 'inputBytes' | 'inputSha256'> | JoinApproval)

/** What waits until somebody at this node says yes or no. */
export interface Approvals {
  /** True if it was allowed for a time, and that is not over. */
  isGranted(request: ApprovalRequest): boolean
  /** Resolves when it is allowed. Rejects with `permission_denied` if it may not, `busy` if too many wait, or with what the signal stands for. */
  ask(request: ApprovalRequest, signal: AbortSignal): Promise<void>
  /** Those that wait, the oldest first. */
  list(): ApprovalView[]
  /** One of these, with its whole input. @throws MeshError `not_found`. */
  whole(id: string): ApprovalView
  /** A node that is no member any more, or is one with fewer rights: what it was allowed for a time, and what waits for it or on its behalf, is void. */
  forget(peer: string): void
  /** @param forMs also lets the same caller run the same tool without a question for that time; calls only. @throws MeshError `invalid_argument`. */
  answer(id: string, allow: boolean, forMs?: number): ApprovalView
}

/** @param now monotonic, in ms. @param onAsked told of each that begins to wait. */
export function createApprovals(now: () => number, onAsked: (approval: ApprovalView) => void): Approvals {
  const waiting = new Map<
    string,
    { request: ApprovalRequest; view: ApprovalView; since: number; settle: (error?: MeshError) => void }
  >()
  const grants = new Map<string, { until: number; of: readonly string[] }>()
  let count = 0
  const keyOf = (request: ApprovalRequest | ApprovalView): string | undefined =>
    request.kind === 'call'
      ? JSON.stringify([request.caller, request.meshId, request.capability, request.tool, request.causes, request.agent])
      : undefined
  const isGranted = (request: ApprovalRequest): boolean => (grants.get(keyOf(request) ?? '')?.until ?? -Infinity) > now()

  function isFull(caller: string): boolean {
    const calls = [...waiting.values()].filter(({ view }) => view.kind === 'call')
    const ofCaller = calls.filter(({ view }) => view.caller === caller)
    return calls.length >= MAX_WAITING.all || ofCaller.length >= MAX_WAITING.caller
  }

  function ask(request: ApprovalRequest, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(abortError(signal))
    if (request.kind === 'call' && isFull(request.caller))
      return Promise.reject(new MeshError('busy', 'too many calls wait for the approval of their owner; try again later'))
    const id = String(++count)
    const view: ApprovalView = { id, ...shown(request), waitingMs: 0 }
    return new Promise<void>((resolve, reject) => {
      const onAbort = (): void => settle(abortError(signal))
      const settle = (error?: MeshError): void => {
        waiting.delete(id)
        signal.removeEventListener('abort', onAbort)
        if (error === undefined) resolve()
        else reject(error)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      waiting.set(id, { request, view, since: now(), settle })
      onAsked(view)
    })
  }

  function find(id: string) {
    const found = waiting.get(id)
    if (found === undefined)
      throw new MeshError('not_found', `nothing waits for approval under "${id}" (any more); atmo approvals lists them`, {
        id
      })
    return { ...found, view: { ...found.view, waitingMs: Math.round(now() - found.since) } }
  }

  return {
    isGranted,
    ask,
    list: () => [...waiting.keys()].map((id) => find(id).view),
    whole(id) {
      const { request, view } = find(id)
      if (view.kind !== 'call' || request.kind !== 'call') return view
      const { inputCut: _cut, ...rest } = view
      return { ...rest, input: request.input }
    },
    forget(peer) {
      for (const [key, { of }] of grants) if (of.includes(peer)) grants.delete(key)
      for (const { request, settle } of [...waiting.values()])
        if (partOf(request).includes(peer))
          settle(new MeshError('permission_denied', 'who asked for this lost its rights meanwhile', { reason: 'revoked' }))
    },
    answer(id, allow, forMs = 0) {
      const { settle, view } = find(id)
      if (!(forMs >= 0 && forMs <= MAX_GRANT_MS))
        throw new MeshError('invalid_argument', `an approval holds for at most ${MAX_GRANT_MS} ms`, { key: 'forMs' })
      const key = keyOf(view)
      if (forMs > 0 && key === undefined)
        throw new MeshError('invalid_argument', 'who joins is let in for good, not for a time; leave the time out', {
          key: 'forMs'
        })
      if (allow && forMs > 0 && key !== undefined) {
        grants.delete(key)
        grants.set(key, { until: now() + forMs, of: partOf(view) })
        if (grants.size > MAX_GRANTS) grants.delete(grants.keys().next().value!)
      }
      settle(allow ? undefined : new MeshError('permission_denied', 'the owner of the node said no', { reason: 'not_approved' }))
      return view
    }
  }
}

/** PeerIds of those whose rights it goes by. */
function partOf(request: ApprovalRequest | ApprovalView): readonly string[] {
  return request.kind === 'call' ? [request.caller, ...(request.causes ?? [])] : []
}

/** As a list shows it: not more than people can read, and what the rest of it is. */
function shown(request: ApprovalRequest): ApprovalRequest & (CallApproval | JoinApproval) {
  if (request.kind !== 'call') return request
  const text = JSON.stringify(request.input)
  const bytes = utf8ToBytes(text)
  const facts = { inputBytes: bytes.byteLength, inputSha256: bytesToHex(sha256(bytes)) }
  if (text.length <= MAX_SHOWN_INPUT) return { ...request, ...facts }
  return { ...request, ...facts, input: `${text.slice(0, MAX_SHOWN_INPUT)}…`, inputCut: true }
}
