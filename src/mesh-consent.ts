import type { CapabilityDeclaration } from '../protocols/capability.ts'
import { createApprovals, type Approvals } from './calls/approvals.ts'
import type { LocalTool, ProviderComponents } from './calls/provider.ts'
import type { Audit } from './core/audit.ts'
import { createLimits, type LimitRule } from './core/limits.ts'
import {
  decide,
  decideUnchecked,
  stricter,
  type Caller,
  type Effect,
  type MemberStanding,
  type PolicyRule,
  type Standing
} from './core/policy.ts'
import type { InvokeOptions, ToolRequest } from './core/invoke.ts'
import { MeshError } from './errors.ts'
import type { Mesh } from './mesh-api.ts'
import type { NewMeshEvent } from './mesh-events.ts'
import type { Federation } from './mesh-federation.ts'
import { hasLess } from './mesh-checked.ts'
import { STRANGER, type MeshTrust } from './mesh-trust.ts'
import type { ArrivedEvent } from './triggers/handling.ts'
import type { Membership } from './trust/membership.ts'

/** Name by which policies speak of events: who may have a capability handle them, may call this tool of it. */
export const HANDLE = 'handle'

/** The same for observing them: who may call this tool of a capability gets copies of what that raises. */
export const OBSERVE = 'observe'

/** What the node's policy says to calls of others, and the calls that wait for a yes. */
export interface Consent extends Pick<ProviderComponents, 'authorize' | 'meter'>, Pick<Approvals, 'ask' | 'forget'> {
  /** The same for an event: the policy has it as a call of the tool {@link HANDLE}. What was accepted before a restart is judged anew; those who caused it are what they were then, as long as nothing else is known of them. */
  authorizeEvent(event: ArrivedEvent, capability: CapabilityDeclaration, options: InvokeOptions): Promise<void> | undefined
  /** What those are that have caused it, for when it goes over a restart. */
  standingsOf(event: ArrivedEvent): (MemberStanding | undefined)[]
  /** Before it is taken in: refuses what the policy denies, and counts the others against their limits. @throws MeshError `permission_denied`, `busy`. */
  admitEvent(event: ArrivedEvent, capability: CapabilityDeclaration): void
  /** Which capabilities a node may observe. Who is to be asked for may not: nobody can say yes to each event. @throws MeshError `permission_denied`. */
  observerOf(peer: string): (capability: CapabilityDeclaration) => boolean
  /** As a person at this node may ask for. */
  readonly commands: Pick<Mesh, 'approvals' | 'approval' | 'approve'>
}

/** What it needs. */
export interface ConsentComponents {
  /** PeerId of this node. */
  self: string
  membership: Pick<Membership, 'mesh' | 'role' | 'chain'>
  policy: readonly PolicyRule[]
  limits: readonly LimitRule[]
  /** Name of this node, for messages. */
  name: string
  /** What a node calls itself. */
  nameOf: (peer: string) => string | undefined
  /** What who calls is, as its certificates say. */
  trust: Pick<MeshTrust, 'standingOf' | 'recall'>
  /** Nodes of other meshes, and what is lent to them. */
  federation: Pick<Federation, 'meshOf' | 'nodeOf' | 'lends' | 'checkLent'>
  now: () => number
  log: (level: 'info' | 'warn', message: string) => void
  audit: Audit | undefined
  emit(event: NewMeshEvent): void
}

type Request = Pick<ToolRequest, 'caller' | 'causes' | 'agent' | 'input'>

const handlingOf = (capability: CapabilityDeclaration): Pick<LocalTool, 'capability' | 'tool'> => ({
  capability,
  tool: { name: HANDLE }
})

/** See {@link Consent}. It goes by what a connection has proved, never by what a request says. */
export function createConsent(components: ConsentComponents): Consent {
  const { self, name: ownName, nameOf, policy, limits: rules, federation, now, log, audit, emit } = components
  const { trust, membership } = components
  const { recall } = trust
  const { mesh } = membership
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
    const who = call.agent === undefined ? `${call.callerName} (${caller})${of}` : `agent ${call.agent} of this node`
    log('info', `${who} asks for ${call.capability} ${call.tool}: atmo approve ${id}`)
    emit({ event: 'approval', ...call })
  })

  const standingOf = (peer: string): Standing => (peer === self ? ownStanding() : trust.standingOf(peer))

  /** Nobody is a guest at home: what keeps guests away keeps them from others. */
  function ownStanding(): Standing {
    const role = membership.role === 'guest' ? 'member' : membership.role
    return { role, tags: membership.chain()[0]?.certificate.tags ?? [] }
  }

  function callerOf(peerId: string, other: string | undefined, standing = standingOf(peerId)): Caller {
    return { peerId, ...(other === undefined ? standing : STRANGER), mesh: other ?? mesh, foreign: other !== undefined }
  }

  /** @param isChosen an agent of this node has chosen the call, by what it has read: nobody here asked for just this. */
  function effectOf(caller: Caller, { capability, tool }: Pick<LocalTool, 'capability' | 'tool'>, isChosen: boolean): Effect {
    if (caller.peerId === self && !isChosen) return 'allow'
    if (caller.foreign === true && !federation.lends(caller.mesh!, capability.type)) return 'deny'
    return decide(policy, caller, capability, tool)
  }

  /**
   * Who caused a call need not be connected with this node. Of a call of another mesh this node knows nothing else: but nobody of its own mesh gains by
   * going round through another. Of a call of the own mesh it may be of any other one, or of none, and gains nothing by a member that acts for it.
   */
  function effectOfCause(
    cause: string,
    caller: string,
    local: Pick<LocalTool, 'capability' | 'tool'>,
    isChosen: boolean,
    before: MemberStanding | undefined
  ): Effect {
    const other = federation.meshOf(cause)
    const standing = cause === self ? ownStanding() : recall(cause, before)
    if (other !== undefined || standing !== undefined) return effectOf(callerOf(cause, other, standing), local, isChosen)
    const round = federation.meshOf(caller)
    if (round !== undefined) return effectOf(callerOf(cause, round), local, isChosen)
    return decideUnchecked(policy, cause, local.capability, local.tool)
  }

  /** The source of an event is named last of those who caused it. */
  function requestOf({ node: caller, causes, event }: ArrivedEvent): Request {
    const { data, dataRef } = event
    // Of a payload that is not in it, that it is this one: what is asked about is kept in memory.
    const input = dataRef === undefined ? data : { payload: `sha256:${dataRef.hash}`, bytes: dataRef.size }
    return { caller, input, ...(causes.length > 1 && { causes: causes.slice(0, -1) }) }
  }

  /** @returns whether it is to be asked for. @throws MeshError `permission_denied`. */
  function checkAllowed(
    local: Pick<LocalTool, 'capability' | 'tool'>,
    { caller, causes, agent }: Request,
    standing = standingOf(caller),
    before: ArrivedEvent['standings'] = []
  ): 'allow' | 'ask' {
    const { capability, tool } = local
    const isChosen = caller === self && agent !== undefined
    const own = effectOf(callerOf(caller, federation.meshOf(caller), standing), local, isChosen)
    let effect = own
    // A node lends nobody its rights: each of those who caused the call must have them, too.
    for (const [n, cause] of (causes ?? []).entries())
      effect = stricter(effect, effectOfCause(cause, caller, local, isChosen, before[n]))
    if (effect !== 'deny') return effect
    const details = { capability: capability.id, tool: tool.name, node: self, reason: 'policy' }
    const what = `"${tool.name}" of "${capability.id}" at ${ownName}`
    const message =
      own === 'deny' ? `${kindOf(caller, standing, isChosen)} may not call ${what}` : `${what} is not for all who cause this call`
    throw new MeshError('permission_denied', message, details)
  }

  function kindOf(caller: string, { role }: Standing, isChosen: boolean): string {
    if (isChosen) return 'an agent of this node'
    if (federation.meshOf(caller) !== undefined) return 'a node of another mesh'
    return `${role === 'owner' || role === 'admin' ? 'an' : 'a'} ${role}`
  }

  function askFor(
    local: Pick<LocalTool, 'capability' | 'tool'>,
    request: Request,
    { signal }: InvokeOptions,
    standing = standingOf(request.caller)
  ): Promise<void> | undefined {
    const { caller, causes, agent, input } = request
    const foreign = federation.nodeOf(caller)
    const who = {
      caller,
      callerName: foreign?.name ?? nameOf(caller) ?? '',
      callerRole: standing.role,
      ...(foreign !== undefined && { mesh: foreign.meshName, meshId: foreign.mesh }),
      ...(causes !== undefined && { causes }),
      ...(agent !== undefined && { agent })
    }
    const call = { kind: 'call' as const, ...who, capability: local.capability.id, tool: local.tool.name, input }
    return waiting.isGranted(call) ? undefined : waiting.ask(call, signal)
  }

  /** A person has agreed to this event, and none of those who caused it has less than it had then. */
  function isStillAllowed({ isAllowed, causes, standings }: ArrivedEvent): boolean {
    if (isAllowed !== true || standings === undefined) return false
    return standings.every((was, n) => {
      if (was === undefined) return true
      const is = recall(causes[n]!, was)
      return is !== undefined && !hasLess(is, was)
    })
  }

  /** What the source of an event is, which may be gone by now: it was told that its event is handled nevertheless. @throws MeshError `permission_denied`: it is no member any more. */
  function standingOfSource({ node, standings }: ArrivedEvent): Standing {
    const standing = node === self ? ownStanding() : recall(node, standings?.at(-1))
    if (standing !== undefined) return standing
    throw new MeshError('permission_denied', 'who has sent this event is no member here now', { node: self, reason: 'policy' })
  }

  return {
    authorize(local, request, options) {
      const { capability, tool } = local
      // Again: the capability that was looked at when the call arrived may have given way to another.
      federation.checkLent(request.caller, capability.id, tool.name, capability.type)
      return checkAllowed(local, request) === 'allow' ? undefined : askFor(local, request, options)
    },
    authorizeEvent(event, capability, options) {
      const standing = standingOfSource(event)
      const [local, request] = [handlingOf(capability), requestOf(event)]
      if (checkAllowed(local, request, standing, event.standings) === 'allow' || isStillAllowed(event)) return undefined
      return askFor(local, request, options, standing)
    },
    standingsOf: ({ causes }) => causes.map((peer) => recall(peer)),
    admitEvent(event, capability) {
      const { node: caller } = event
      const local = handlingOf(capability)
      if (federation.meshOf(caller) !== undefined)
        throw new MeshError('permission_denied', 'nodes of other meshes must not send events here', { node: self })
      checkAllowed(local, requestOf(event))
      if (caller !== self && rules.length > 0)
        limits.enter(callerOf(caller, federation.meshOf(caller)), capability, local.tool)?.leave()
    },
    observerOf(peer) {
      if (federation.meshOf(peer) !== undefined)
        throw new MeshError('permission_denied', 'nodes of other meshes must not observe events here', { node: self })
      return (capability) => effectOf(callerOf(peer, undefined), { capability, tool: { name: OBSERVE } }, false) === 'allow'
    },
    ask: waiting.ask,
    forget: waiting.forget,
    meter: ({ capability, tool }, { caller }) =>
      rules.length === 0 ? undefined : limits.enter(callerOf(caller, federation.meshOf(caller)), capability, tool),
    commands: {
      approvals: () => waiting.list(),
      approval: (id) => waiting.whole(id),
      approve(id, allowed, { forMs = 0 } = {}) {
        const view = waiting.answer(id, allowed, forMs)
        const { caller: peer } = view
        if (view.kind === 'join') audit?.({ event: 'join-approval', peer, name: view.name, role: view.role, allowed })
        else {
          const { capability, tool, inputSha256 } = view
          audit?.({ event: 'approval', peer, capability, tool, allowed, forMs, inputSha256 })
        }
        return view
      }
    }
  }
}
