/** Capabilities as users of a node see them. Types only; part of the Mesh type. */
import type { JsonValue } from '../protocols/json.ts'
import type { CapabilityDeclaration, CapabilityStatus, ToolDeclaration, TriggerDeclaration } from '../protocols/capability.ts'

/** Of which other mesh something is: what that is called here, and its id. Both are missing if it is of the own mesh. */
export interface OfMesh {
  mesh?: string
  meshId?: string
}

/** A capability as this node knows it, its own or another's; `mesh` is the one that lends it. */
export interface CapabilityView extends CapabilityDeclaration, OfMesh {
  /** PeerId of the provider. */
  node: string
  nodeName: string
  name: string
  status: CapabilityStatus
  tools: ToolDeclaration[]
  triggers: TriggerDeclaration[]
  /** The shortest name that `call` takes for exactly this one: the id, or `id@node` when several nodes have it. */
  ref: string
  /** True if this node itself offers it. */
  local: boolean
  /** Only where it is not what this node first saw, or last accepted, of it: see `acceptDescriptor`. */
  changed?: ChangedDescriptor
}

/** How the descriptor of a capability differs from what is pinned of it. Texts are cut to 500 characters. */
export interface ChangedDescriptor {
  /** When this version of it was first seen, ISO 8601. */
  since: string
  /** SHA-256 of what it says now, hex. */
  hash: string
  capability: DescriptorChange[]
  tools: ToolChange[]
}

/** A part of a capability that differs. `unknown`: something does, but not enough was kept to say what. */
export interface DescriptorChange {
  what: 'type' | 'name' | 'description' | 'examples' | 'keywords' | 'triggers' | 'handles' | 'unknown'
  before?: string
  after?: string
}

/** A tool that is new or gone, or a part of it that differs. */
export interface ToolChange {
  /** Of the tool. */
  name: string
  what: 'new' | 'removed' | 'title' | 'description' | 'input' | 'output' | 'requiresApproval' | 'annotations'
  before?: string
  after?: string
}

/** A change that was accepted. */
export interface AcceptedDescriptor {
  /** PeerId. */
  node: string
  nodeName: string
  /** Id of the capability. */
  capability: string
  changed: ChangedDescriptor
}

/** All fields given must fit. */
export interface CapabilityQuery {
  id?: string
  /** Glob over types, `sensor/*`; `*` stays within a segment, `**` crosses them. */
  type?: string
  /** First or any segment of the type: `security` finds `agent/security`. */
  domain?: string
  tool?: string
  trigger?: string
  /** Words that occur in id, name, description, tools, examples or keywords. */
  text?: string
  /** One of its keywords, exactly. */
  keyword?: string
  /** PeerId or name of the provider. */
  node?: string
  status?: CapabilityStatus
}

/** A capability of this process; changes are announced at once. */
export interface Registration {
  readonly id: string
  update(change: Partial<CapabilityDeclaration>): void
  suspend(reason: string): void
  resume(): void
  /** Raises one of its triggers. */
  emit(event: string, payload: JsonValue): void
  remove(reason?: string): void
}
