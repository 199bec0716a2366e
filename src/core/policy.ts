import type { CapabilityDeclaration, ToolDeclaration } from '../../protocols/capability.ts'
import { matchGlob, matchName } from '../../protocols/glob.ts'
import type { Role } from '../../protocols/member/messages.ts'

/** What a rule does with a call that it fits; the strictest last. */
export const EFFECTS = ['allow', 'ask', 'deny'] as const
/** One of {@link EFFECTS}. */
export type Effect = (typeof EFFECTS)[number]

/** Which calls are meant. All fields that are given must fit; a field fits if one of its values does. */
export interface PolicyMatch {
  /** Roles in the mesh. */
  roles?: Role[]
  /** Tags that its certificate gives the caller. */
  tags?: string[]
  /** Ids of meshes: of the own one, or of others that this one lends to. */
  meshes?: string[]
  /** PeerIds. Not names: anybody can call itself anything. */
  nodes?: string[]
  /** Globs over ids of capabilities: `*` is any text. */
  capabilities?: string[]
  /** Globs over types: `*` stays within a segment, `**` crosses them. */
  types?: string[]
  /** Globs over names of tools. */
  tools?: string[]
}

/** Who may call what at this node. */
export interface PolicyRule extends PolicyMatch {
  effect: Effect
}

/** Who calls, as the connection and the certificates prove it. */
export interface Caller extends Standing {
  peerId: string
  /** Id of its mesh. */
  mesh?: string
  /** It is of another mesh, and the capability is lent to that. Its role and tags there are none here: for rules it is a guest without tags. */
  foreign?: boolean
}

/** What certificates say of a node. */
export interface Standing {
  role: Role
  tags: readonly string[]
}

/** The same of a member, with all that says whether it still holds: what is known of it goes over a restart with what it sent. */
export interface MemberStanding extends Standing {
  /** Since when it is a member, Unix time in s. */
  since: number
  /** When its certificates end, Unix time in s. */
  notAfter: number
  /** Which key of the mesh was the newest when this held. */
  generation: number
}

/** The stricter of two effects. */
export function stricter(a: Effect, b: Effect): Effect {
  return EFFECTS[Math.max(EFFECTS.indexOf(a), EFFECTS.indexOf(b))]!
}

/**
 * What this node says to a call: the first rule that fits decides. Without one, a tool with `requiresApproval` asks, guests are denied,
 * and everybody else is allowed, nodes of another mesh as well: what is lent to them, their treaty allows. Nothing that a caller sends has a part in it.
 */
export function decide(
  rules: readonly PolicyRule[],
  caller: Caller,
  capability: Pick<CapabilityDeclaration, 'id' | 'type'>,
  tool: Pick<ToolDeclaration, 'name' | 'requiresApproval'>
): Effect {
  for (const rule of rules) if (fits(rule, caller, capability, tool)) return rule.effect
  if (caller.role === 'guest' && caller.foreign !== true) return 'deny'
  return tool.requiresApproval === true ? 'ask' : 'allow'
}

/**
 * What this node says to somebody of whom nothing was checked here: somebody else's word says that it has a part in a call. A rule lets it do something
 * only by its PeerId alone; what keeps anybody from something holds for it wherever it may be meant. So it never may more than once it is known.
 */
export function decideUnchecked(
  rules: readonly PolicyRule[],
  peerId: string,
  capability: Pick<CapabilityDeclaration, 'id' | 'type'>,
  tool: Pick<ToolDeclaration, 'name'>
): Effect {
  let least: Effect = 'allow'
  for (const { effect, roles, tags, meshes, ...rest } of rules) {
    if (!fits(rest, { peerId, role: 'guest', tags: [] }, capability, tool)) continue
    if (effect === 'deny') return 'deny'
    const isByName = rest.nodes !== undefined && roles === undefined && tags === undefined && meshes === undefined
    if (isByName) return stricter(least, effect)
    least = stricter(least, effect)
  }
  return 'deny'
}

/** True if the call is one of those that are meant. */
export function fits(
  { roles, tags, meshes, nodes, capabilities, types, tools }: PolicyMatch,
  caller: Caller,
  capability: Pick<CapabilityDeclaration, 'id' | 'type'>,
  tool: Pick<ToolDeclaration, 'name'>
): boolean {
  return (
    (roles?.includes(caller.foreign === true ? 'guest' : caller.role) ?? true) &&
    (tags?.some((tag) => caller.foreign !== true && caller.tags.includes(tag)) ?? true) &&
    (meshes?.some((mesh) => mesh === caller.mesh) ?? true) &&
    (nodes?.includes(caller.peerId) ?? true) &&
    (capabilities?.some((glob) => matchName(glob, capability.id)) ?? true) &&
    (types?.some((glob) => matchGlob(glob, capability.type)) ?? true) &&
    (tools?.some((glob) => matchName(glob, tool.name)) ?? true)
  )
}
