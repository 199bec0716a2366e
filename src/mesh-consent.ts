import { createApprovals, type Approvals } from './calls/approvals.ts'
import type { LocalTool, ProviderComponents } from './calls/provider.ts'
import type { Audit } from './core/audit.ts'
import { createLimits, type LimitRule } from './core/limits.ts'
import { decide, stricter, type Effect, type PolicyRule } from './core/policy.ts'
import { MeshError } from './errors.ts'
import type { Mesh } from './mesh-api.ts'
import type { NewMeshEvent } from './mesh-events.ts'
import type { MeshTrust } from './mesh-trust.ts'

/** What the node's policy says to calls of others, and the calls that wait for a yes. */
export interface Consent
  extends Pick<ProviderComponents, 'authorize' | 'meter'>, Pick<Mesh, 'approvals' | 'approve'>, Pick<Approvals, 'ask'> {}

/** What it needs. */
export interface ConsentComponents {
  /** PeerId of this node. */
  self: string
  policy: readonly PolicyRule[]
  limits: readonly LimitRule[]
  /** Name of this node, for messages. */
  name: string
  /** What a node calls itself. */
  nameOf: (peer: string) => string | undefined
  /** What who calls is, as its certificates say. */
  standingOf: MeshTrust['standingOf']
  now: () => number
  log: (level: 'info' | 'warn', message: string) => void
  audit: Audit | undefined
  emit(event: NewMeshEvent): void
}

/** See {@link Consent}. It goes by what a connection has proved, never by what a request says. */
export function createConsent({
  self,
  name: ownName,
  nameOf,
  policy,
  limits: rules,
  standingOf,
  now,
  log,
  audit,
  emit
}: ConsentComponents): Consent {
  const limits = createLimits(rules, now)
  const waiting = createApprovals(now, (view) => {
    const { id, caller } = view
    if (view.kind === 'join') {
      const { kind, name, role, code } = view
      log('info', `"${name}" (${caller}) asks to join and shows ${code}: atmo approve ${id}`)
      return emit({ event: 'approval', id, caller, kind, name, role, code })
    }
    const { kind, callerName, callerRole, capability, tool, causes } = view
    log('info', `${callerName} (${caller}) asks for ${capability} ${tool}: atmo approve ${id}`)
    emit({
      event: 'approval',
      id,
      caller,
      kind,
      callerName,
      callerRole,
      capability,
      tool,
      ...(causes !== undefined && { causes })
    })
  })

  function effectOf(peerId: string, { capability, tool }: LocalTool): Effect {
    if (peerId === self) return 'allow'
    const { role, tags } = standingOf(peerId)
    return decide(policy, { peerId, role, tags }, capability, tool)
  }

  return {
    authorize(local, { caller, causes, input }, options) {
      const { capability, tool } = local
      let effect = effectOf(caller, local)
      // A node lends nobody its rights: each of those who caused the call must have them, too.
      for (const cause of causes ?? []) effect = stricter(effect, effectOf(cause, local))
      if (effect === 'allow') return undefined
      const { role } = standingOf(caller)
      if (effect === 'ask') {
        const who = { caller, callerName: nameOf(caller) ?? '', callerRole: role, ...(causes !== undefined && { causes }) }
        const call = { kind: 'call' as const, ...who, capability: capability.id, tool: tool.name, input }
        return waiting.isGranted(call) ? undefined : waiting.ask(call, options.signal)
      }
      const details = { capability: capability.id, tool: tool.name, node: self, reason: 'policy' }
      throw new MeshError(
        'permission_denied',
        causes === undefined
          ? `${role === 'owner' || role === 'admin' ? 'an' : 'a'} ${role} may not call "${tool.name}" of "${capability.id}" at ${ownName}`
          : `"${tool.name}" of "${capability.id}" at ${ownName} is not for all who cause this call`,
        details
      )
    },
    ask: waiting.ask,
    meter: ({ capability, tool }, { caller }) =>
      rules.length === 0 ? undefined : limits.enter({ peerId: caller, ...standingOf(caller) }, capability, tool),
    approvals: () => waiting.list(),
    approve(id, allowed, { forMs = 0 } = {}) {
      const view = waiting.answer(id, allowed, forMs)
      const { caller: peer } = view
      if (view.kind === 'join') audit?.({ event: 'join-approval', peer, name: view.name, role: view.role, allowed })
      else audit?.({ event: 'approval', peer, capability: view.capability, tool: view.tool, allowed, forMs })
      return view
    }
  }
}
