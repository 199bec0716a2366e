/** What capabilities of other nodes say of themselves, where that has changed. */

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

/** A capability of another node says something else of itself than before; or somebody has accepted that. */
export interface DescriptorEvent extends AcceptedDescriptor {
  event: 'descriptor-changed' | 'descriptor-accepted'
}
