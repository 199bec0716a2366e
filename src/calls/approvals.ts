import { MeshError, abortError } from '../errors.ts'
import type { ApprovalView, CallApproval, JoinApproval } from '../mesh-api.ts'

/** Calls that wait for their owner at once, all callers together and of one caller. Nodes that ask to join have a limit of their own. */
export const MAX_WAITING = { all: 64, caller: 8 } as const
/** Longest time that an approval may be given for, in ms: a day. */
export const MAX_GRANT_MS = 86_400_000
/** Approvals that are given for a time at once; the oldest ends first. */
const MAX_GRANTS = 1_024
/** Longest input that is shown to who approves, in characters of JSON. */
const MAX_SHOWN_INPUT = 2_000

/** What needs a yes. */
export type ApprovalRequest = {
  /** PeerId, proved. */
  caller: string
} & (CallApproval | JoinApproval)

/** What waits until somebody at this node says yes or no. */
export interface Approvals {
  /** True if it was allowed for a time, and that is not over. */
  isGranted(request: ApprovalRequest): boolean
  /** Resolves when it is allowed. Rejects with `permission_denied` if it may not, `busy` if too many wait, or with what the signal stands for. */
  ask(request: ApprovalRequest, signal: AbortSignal): Promise<void>
  /** Those that wait, the oldest first. */
  list(): ApprovalView[]
  /** @param forMs also lets the same caller run the same tool without a question for that time; calls only. @throws MeshError `invalid_argument`. */
  answer(id: string, allow: boolean, forMs?: number): ApprovalView
}

/** @param now monotonic, in ms. @param onAsked told of each that begins to wait. */
export function createApprovals(now: () => number, onAsked: (approval: ApprovalView) => void): Approvals {
  const waiting = new Map<string, { view: ApprovalView; since: number; settle: (error?: MeshError) => void }>()
  const grants = new Map<string, number>()
  let count = 0
  const keyOf = (request: ApprovalRequest): string | undefined =>
    request.kind === 'call' ? JSON.stringify([request.caller, request.capability, request.tool, request.causes]) : undefined
  const isGranted = (request: ApprovalRequest): boolean => (grants.get(keyOf(request) ?? '') ?? -Infinity) > now()

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
      waiting.set(id, { view, since: now(), settle })
      onAsked(view)
    })
  }

  return {
    isGranted,
    ask,
    list: () => [...waiting.values()].map(({ view, since }) => ({ ...view, waitingMs: Math.round(now() - since) })),
    answer(id, allow, forMs = 0) {
      const found = waiting.get(id)
      if (found === undefined)
        throw new MeshError(
          'invalid_argument',
          `nothing waits for approval under "${id}" (any more); atmo approvals lists them`,
          { id }
        )
      if (!(forMs >= 0 && forMs <= MAX_GRANT_MS))
        throw new MeshError('invalid_argument', `an approval holds for at most ${MAX_GRANT_MS} ms`, { key: 'forMs' })
      const { settle, since } = found
      const view = { ...found.view, waitingMs: Math.round(now() - since) }
      const key = keyOf(view)
      if (forMs > 0 && key === undefined)
        throw new MeshError('invalid_argument', 'who joins is let in for good, not for a time; leave the time out', {
          key: 'forMs'
        })
      if (allow && forMs > 0 && key !== undefined) {
        grants.delete(key)
        grants.set(key, now() + forMs)
        if (grants.size > MAX_GRANTS) grants.delete(grants.keys().next().value!)
      }
      settle(allow ? undefined : new MeshError('permission_denied', 'the owner of the node said no', { reason: 'not_approved' }))
      return view
    }
  }
}

/** As people see it: not more than they can read. */
function shown(request: ApprovalRequest): ApprovalRequest {
  if (request.kind !== 'call') return request
  const text = JSON.stringify(request.input)
  return text.length <= MAX_SHOWN_INPUT ? request : { ...request, input: `${text.slice(0, MAX_SHOWN_INPUT)}…` }
}
