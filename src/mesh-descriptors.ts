import { nodeCalled } from '../protocols/named-node.ts'
import { nearest } from '../protocols/nearest.ts'
import type { Audit } from './core/audit.ts'
import type { Directory, DirectoryEvent } from './core/directory.ts'
import { createPins, type ChangedDescriptors, type StoredPins } from './core/pins.ts'
import { createTokenBuckets } from './core/token-buckets.ts'
import type { ChangedOf } from './core/views.ts'
import { MeshError } from './errors.ts'
import type { ChangedDescriptor, Mesh } from './mesh-api.ts'
import type { NewMeshEvent } from './mesh-events.ts'

/** Fewest characters of a hash that say which version was looked at. */
export const MIN_HASH = 8
/** Changes of one node in log and audit log: whoever changes without end must not push out what matters. */
const TOLD_RATE = { perSecond: 1 / 60, burst: 20 } as const

/** Where pins are kept over restarts. */
export interface PinStore {
  readonly initial: StoredPins
  /** What is kept has changed; `stored` is asked when it is written. */
  changed(stored: () => StoredPins): void
}

/** Watches that what other nodes say of their capabilities stays what it was: a model reads it. */
export interface Descriptors extends Pick<Mesh, 'acceptDescriptor'> {
  onDirectory(event: DirectoryEvent): void
  changedOf: ChangedOf
  /** True if calls of this node must not go there. */
  isBlocked(origin: string, id: string): boolean
}

/** What it needs. */
export interface DescriptorsComponents {
  /** PeerId of this node. */
  self: string
  directory: Pick<Directory, 'get' | 'visible'>
  mode: ChangedDescriptors
  /** Default: in memory. */
  pins: PinStore | undefined
  /** Monotonic ms. */
  now: () => number
  log: (level: 'info' | 'warn', message: string) => void
  audit: Audit | undefined
  emit(event: NewMeshEvent): void
  /** What is blocked has changed without a change of the directory. */
  onAccepted(): void
}

/** See {@link Descriptors}. */
export function createDescriptors(components: DescriptorsComponents): Descriptors {
  const { self, directory, mode, pins: store, now, log, audit, emit, onAccepted } = components
  const pins = createPins(store?.initial, () => store?.changed(() => pins.stored()))
  const rates = createTokenBuckets(TOLD_RATE, now)

  function tell(node: string, nodeName: string, capability: string, changed: ChangedDescriptor): void {
    emit({ event: 'descriptor-changed', node, nodeName, capability, changed })
    if (!rates.take(node)) return
    const what = summaryOf(changed)
    const how = mode === 'block' ? 'it is not called until you run' : 'if that is as it should be, run'
    log(
      'warn',
      `"${capability}" on ${nodeName} says something else of itself than before (${what}); ${how}: atmo accept ${node} ${capability}`
    )
    audit?.({ event: 'descriptor-changed', peer: node, capability, sha256: changed.hash, what })
  }

  return {
    onDirectory(event) {
      if (event.origin === self || !('capability' in event)) return
      const { origin, capability } = event
      const { id } = capability
      if (event.kind === 'removed') return pins.gone(origin, id)
      if (!pins.see(origin, capability.declaration, new Date().toISOString())) return
      tell(origin, nameOf(origin), id, pins.changed(origin, id)!)
    },
    changedOf: (origin, id) => pins.changed(origin, id),
    isBlocked: (origin, id) => mode === 'block' && pins.changed(origin, id) !== undefined,
    acceptDescriptor(node, capability, { hash } = {}) {
      const { origin, document } = find(node)
      if (document?.capabilities.has(capability) !== true)
        throw unknownCapability(node, capability, document?.capabilities.keys() ?? [])
      const changed = pins.changed(origin, capability)
      if (changed === undefined)
        throw new MeshError('invalid_argument', `"${capability}" on ${node} has not changed: there is nothing to accept`, {
          capability
        })
      if (hash !== undefined && (hash.length < MIN_HASH || !/^[0-9a-f]+$/.test(hash)))
        throw new MeshError('invalid_argument', `a hash has at least ${MIN_HASH} hexadecimal digits`, { key: 'hash' })
      if (hash !== undefined && !changed.hash.startsWith(hash))
        throw new MeshError('conflict', `"${capability}" on ${node} has changed again since you looked: look once more`, {
          hash: changed.hash
        })
      pins.accept(origin, capability)
      audit?.({ event: 'descriptor-accepted', peer: origin, capability, sha256: changed.hash, what: summaryOf(changed) })
      onAccepted()
      emit({ event: 'descriptor-accepted', node: origin, nodeName: nameOf(origin), capability, changed })
      return { node: origin, nodeName: nameOf(origin), capability, changed }
    }
  }

  function nameOf(origin: string): string {
    return directory.get(origin)?.document?.info.name ?? origin
  }

  /** By PeerId, else by a name that only one has, or the end of its PeerId. */
  function find(node: string): ReturnType<Directory['visible']>[number] {
    const visible = directory.visible().filter(({ origin }) => origin !== self)
    const meant = nodeCalled(
      visible.map(({ origin, document }) => ({ node: origin, nodeName: document!.info.name })),
      node
    )
    const one = visible.find(({ origin }) => origin === meant)
    if (one === undefined) throw new MeshError('unavailable', `no other node "${node}" is here; see atmo peers`, { node })
    return one
  }
}

function unknownCapability(node: string, capability: string, known: Iterable<string>): MeshError {
  const near = nearest(capability, known)
  const hint = near === undefined ? 'see atmo capabilities' : `did you mean "${near}"?`
  const details = { capability, ...(near !== undefined && { near }) }
  return new MeshError('unknown_capability', `"${capability}" is no capability of ${node}; ${hint}`, details)
}

/** Changes that a line of the log names. */
const MAX_NAMED = 8

/** `description; tool say: description; tool x: new` */
function summaryOf({ capability, tools }: ChangedDescriptor): string {
  const all = [...capability.map(({ what }) => what), ...tools.map(({ name, what }) => `tool ${name}: ${what}`)]
  return all.length > MAX_NAMED ? `${all.slice(0, MAX_NAMED).join('; ')}; and ${all.length - MAX_NAMED} more` : all.join('; ')
}
