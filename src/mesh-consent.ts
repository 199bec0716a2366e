import { createApprovals, type Approvals } from './calls/approvals.ts'
import type { LocalTool, ProviderComponents } from './calls/provider.ts'
import type { Audit } from './core/audit.ts'
import { createLimits, type LimitRule } from './core/limits.ts'
import { decide, stricter, type Caller, type Effect, type PolicyRule } from './core/policy.ts'
import { MeshError } from './errors.ts'
import type { Mesh } from './mesh-api.ts'
import type { NewMeshEvent } from './mesh-events.ts'
import type { Federation } from './mesh-federation.ts'
import { STRANGER, type MeshTrust } from './mesh-trust.ts'
import type { Membership } from './trust/membership.ts'

/** What the node's policy says to calls of others, and the calls that wait for a yes. */
export interface Consent
  extends Pick<ProviderComponents, 'authorize' | 'meter'>, Pick<Mesh, 'approvals' | 'approve'>, Pick<Approvals, 'ask'> {}

/** What it needs. */
export interface ConsentComponents {
  /** PeerId of this node. */
  self: string
  membership: Pick<Membership, 'mesh'>
  policy: readonly PolicyRule[]
  limits: readonly LimitRule[]
  /** Name of this node, for messages. */
  name: string
  /** What a node calls itself. */
  nameOf: (peer: string) => string | undefined
  /** What who calls is, as its certificates say. */
  trust: Pick<MeshTrust, 'standingOf'>
  /** Nodes of other meshes, and what is lent to them. */
  federation: Pick<Federation, 'meshOf' | 'nodeOf' | 'lends' | 'checkLent'>
  now: () => number
  log: (level: 'info' | 'warn', message: string) => void
  audit: Audit | undefined
  emit(event: NewMeshEvent): void
}

/** See {@link Consent}. It goes by what a connection has proved, never by what a request says. */
export function createConsent(components: ConsentComponents): Consent {
  const { self, name: ownName, nameOf, policy, limits: rules, federation, now, log, audit, emit } = components
  const { standingOf } = components.trust
  const { mesh } = components.membership
  const limits = createLimits(rules, now)
  const waiting = createApprovals(now, (view) => {
    const { id, caller } = view
    if (view.kind === 'join') {
      const { kind, name, role, code } = view
      log('info', `"${name}" (${caller}) asks to join and shows ${code}: atmo approve ${id}`)
      return emit({ event: 'approval', id, caller, kind, name, role, code })
    }
    const { input: _input, waitingMs: _waitingMs, ...call } = view
    const of = call.mesh === undefined ? '' : ` of the mesh ${call.mesh}`
    log('info', `${call.callerName} (${caller})${of} asks for ${call.capability} ${call.tool}: atmo approve ${id}`)
    emit({ event: 'approval', ...call })
  })

  function callerOf(peerId: string, other: string | undefined): Caller {
    const { role, tags } = other === undefined ? standingOf(peerId) : STRANGER
    return { peerId, role, tags, mesh: other ?? mesh, foreign: other !== undefined }
  }

  /** @param other the other mesh that the node is of. */
  function effectOf(peerId: string, other: string | undefined, { capability, tool }: LocalTool): Effect {
    if (peerId === self) return 'allow'
    if (other !== undefined && !federation.lends(other, capability.type)) return 'deny'
    return decide(policy, callerOf(peerId, other), capability, tool)
  }

  /** Of who caused a call of another mesh, this node knows nothing else: but nobody of its own mesh gains by going round through another. */
  function meshOfCause(cause: string, caller: string): string | undefined {
    return federation.meshOf(cause) ?? (standingOf(cause) === STRANGER ? federation.meshOf(caller) : undefined)
  }

  return {
    authorize(local, { caller, causes, input }, options) {
      const { capability, tool } = local
      // Again: the capability that was looked at when the call arrived may have given way to another.
      federation.checkLent(caller, capability.id, tool.name, capability.type)
      let effect = effectOf(caller, federation.meshOf(caller), local)
      // A node lends nobody its rights: each of those who caused the call must have them, too.
      for (const cause of causes ?? []) effect = stricter(effect, effectOf(cause, meshOfCause(cause, caller), local))
      if (effect === 'allow') return undefined
      const { role } = standingOf(caller)
      if (effect === 'ask') {
        const foreign = federation.nodeOf(caller)
        const who = {
          caller,
          callerName: foreign?.name ?? nameOf(caller) ?? '',
          callerRole: role,
          ...(foreign !== undefined && { mesh: foreign.meshName, meshId: foreign.mesh }),
          ...(causes !== undefined && { causes })
        }
        const call = { kind: 'call' as const, ...who, capability: capability.id, tool: tool.name, input }
        return waiting.isGranted(call) ? undefined : waiting.ask(call, options.signal)
      }
      const details = { capability: capability.id, tool: tool.name, node: self, reason: 'policy' }
      throw new MeshError(
        'permission_denied',
        causes === undefined
          ? `${role === 'owner' || role === 'admin' ? 'an' : 'a'} ${federation.meshOf(caller) === undefined ? role : 'node of another mesh'} may not call "${tool.name}" of "${capability.id}" at ${ownName}`
          : `"${tool.name}" of "${capability.id}" at ${ownName} is not for all who cause this call`,
        details
      )
    },
    ask: waiting.ask,
    meter: ({ capability, tool }, { caller }) =>
      rules.length === 0 ? undefined : limits.enter(callerOf(caller, federation.meshOf(caller)), capability, tool),
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
