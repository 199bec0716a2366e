import type { JsonValue } from '../core/invoke.ts'
import { MeshError, abortError } from '../errors.ts'
import type { ApprovalView } from '../mesh-api.ts'

/** Calls that wait for their owner at once, all callers together and of one caller. */
export const MAX_WAITING = { all: 64, caller: 8 } as const
/** Longest time that an approval may be given for, in ms: a day. */
export const MAX_GRANT_MS = 86_400_000
/** Approvals that are given for a time at once; the oldest ends first. */
const MAX_GRANTS = 1_024
/** Longest input that is shown to who approves, in characters of JSON. */
const MAX_SHOWN_INPUT = 2_000

/** A call that needs a yes. */
export interface ApprovalRequest {
  /** PeerId, proved. */
  caller: string
  capability: string
  tool: string
  input: JsonValue
}

/** Calls that wait until somebody at this node says yes or no. */
export interface Approvals {
  /** Resolves when the call may run. Rejects with `permission_denied` if it may not, `busy` if too many wait, or with what the signal stands for. */
  ask(request: ApprovalRequest, signal: AbortSignal): Promise<void>
  /** Those that wait, the oldest first. */
  list(): ApprovalView[]
  /** @param forMs also lets the same caller run the same tool without a question for that time. @throws MeshError `invalid_argument`. */
  answer(id: string, allow: boolean, forMs?: number): ApprovalView
}

/** @param now monotonic, in ms. @param onAsked told of each that begins to wait. */
export function createApprovals(now: () => number, onAsked: (approval: ApprovalView) => void): Approvals {
  const waiting = new Map<string, { view: ApprovalView; since: number; settle: (error?: MeshError) => void }>()
  const grants = new Map<string, number>()
  let count = 0
  const keyOf = ({ caller, capability, tool }: Pick<ApprovalRequest, 'caller' | 'capability' | 'tool'>): string =>
    JSON.stringify([caller, capability, tool])

  function ask(request: ApprovalRequest, signal: AbortSignal): Promise<void> {
    if ((grants.get(keyOf(request)) ?? -Infinity) > now()) return Promise.resolve()
    if (signal.aborted) return Promise.reject(abortError(signal))
    const ofCaller = [...waiting.values()].filter(({ view }) => view.caller === request.caller).length
    if (waiting.size >= MAX_WAITING.all || ofCaller >= MAX_WAITING.caller)
      return Promise.reject(new MeshError('busy', 'too many calls wait for the approval of their owner; try again later'))
    const id = String(++count)
    const { caller, capability, tool, input } = request
    const view: ApprovalView = { id, caller, capability, tool, input: shown(input), waitingMs: 0 }
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
    ask,
    list: () => [...waiting.values()].map(({ view, since }) => ({ ...view, waitingMs: Math.round(now() - since) })),
    answer(id, allow, forMs = 0) {
      const found = waiting.get(id)
      if (found === undefined)
        throw new MeshError(
          'invalid_argument',
          `no call waits for approval under "${id}" (any more); atmo approvals lists them`,
          { id }
        )
      if (!(forMs >= 0 && forMs <= MAX_GRANT_MS))
        throw new MeshError('invalid_argument', `an approval holds for at most ${MAX_GRANT_MS} ms`, { key: 'forMs' })
      const { view, settle } = found
      if (allow && forMs > 0) {
        const key = keyOf(view)
        grants.delete(key)
        grants.set(key, now() + forMs)
        if (grants.size > MAX_GRANTS) grants.delete(grants.keys().next().value!)
      }
      settle(allow ? undefined : new MeshError('permission_denied', 'the owner of the node said no', { reason: 'not_approved' }))
      return view
    }
  }
}

/** Input as people see it: not more than they can read. */
function shown(input: JsonValue): JsonValue {
  const text = JSON.stringify(input)
  return text.length <= MAX_SHOWN_INPUT ? input : `${text.slice(0, MAX_SHOWN_INPUT)}…`
}
