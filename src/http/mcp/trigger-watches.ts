import type { JsonObject } from '../../../protocols/json.ts'
import { MeshError } from '../../errors.ts'
import type { Mesh, ObservedEvent, Subscription } from '../../mesh-api.ts'
import { cloudEventOf } from '../cloud-event.ts'
import { isTriggerUri, triggerUri, type CatalogTrigger, type TriggerCatalog } from './trigger-catalog.ts'

/** Triggers that clients of this node are subscribed to at once, each counted once. */
export const MAX_WATCHED = 256
/** Kinds of them, by type and event: a node can observe 64 kinds, and others want to as well. */
export const MAX_WATCHED_KINDS = 32
/** Events that are kept of each: the newest. */
export const MAX_KEPT_EVENTS = 16
/** And how many characters of JSON they may have together. */
export const MAX_KEPT_CHARACTERS = 128 * 1024
/** Shortest time between two `resources/updated` of one trigger, in ms: what comes in between is told with the next. */
export const MIN_UPDATED_MS = 100

/**
 * Whether events of a trigger arrive. `unsubscribed`: no client is; `absent`: it is not there, or not accepted; `asking`: its node has not answered yet, or
 * cannot be reached; `refused`: its node does not let this one observe it.
 */
export type WatchState = 'unsubscribed' | 'absent' | 'asking' | 'refused' | 'open'

/** What a trigger has raised since the first of the clients that are subscribed now was. */
export interface TriggerReading {
  state: WatchState
  /** Events that came, kept or not. */
  total: number
  /** CloudEvents, the oldest first. */
  events: JsonObject[]
}

/** Is told that a trigger has fired. */
export type Updated = (uri: string) => void

/** Triggers that clients of this node are subscribed to. Events that two of them want are kept once. */
export interface TriggerWatches {
  /**
   * Watches until what is returned is called. A trigger that is not there (yet) is waited for. `updated` is told once, however often it watches the same.
   * @throws MeshError `invalid_argument` for what is no URI of a trigger, `busy`.
   */
  watch(uri: string, updated: Updated): () => void
  read(uri: string): TriggerReading
  /** The mesh has changed: triggers have come, gone, or been accepted. */
  changed(): void
  close(): void
}

interface Watch {
  uri: string
  users: Map<Updated, number>
  kept: { event: JsonObject; characters: number }[]
  total: number
  /** Of the kind that is observed for it. */
  pattern: string | undefined
  found: { node: string; capability: string; local: boolean } | undefined
  timer: ReturnType<typeof setTimeout> | undefined
  isTold: boolean
}

/** What they need. */
export interface TriggerWatchesInit {
  mesh: Pick<Mesh, 'on'>
  catalog: Pick<TriggerCatalog, 'find'>
  /** Default {@link MIN_UPDATED_MS}. */
  minUpdatedMs?: number
}

/** See {@link TriggerWatches}. */
export function createTriggerWatches({ mesh, catalog, minUpdatedMs = MIN_UPDATED_MS }: TriggerWatchesInit): TriggerWatches {
  const watches = new Map<string, Watch>()
  const kinds = new Map<string, { subscription: Subscription; users: number }>()

  /** @throws MeshError `busy`. */
  function attach(watch: Watch, { capability: { id, node, type, local }, trigger }: CatalogTrigger): void {
    watch.found = { node, capability: id, local }
    const pattern = `${type}:${trigger.event}`
    if (watch.pattern === pattern) return
    detach(watch)
    const kind = kinds.get(pattern) ?? open(pattern)
    kind.users++
    watch.pattern = pattern
  }

  function open(pattern: string): { subscription: Subscription; users: number } {
    if (kinds.size >= MAX_WATCHED_KINDS)
      throw new MeshError(
        'busy',
        `clients of this node are subscribed to ${MAX_WATCHED_KINDS} kinds of triggers, and that is the most`
      )
    const kind = { subscription: mesh.on(pattern, take), users: 0 }
    kinds.set(pattern, kind)
    return kind
  }

  function detach(watch: Watch): void {
    const kind = watch.pattern === undefined ? undefined : kinds.get(watch.pattern)
    if (kind === undefined) return
    if (--kind.users === 0) {
      kind.subscription.close()
      kinds.delete(watch.pattern!)
    }
    watch.pattern = undefined
  }

  function take(event: ObservedEvent): void {
    const watch = watches.get(triggerUri(event))
    if (watch?.pattern === undefined) return
    const shown = cloudEventOf(event)
    const characters = JSON.stringify(shown).length
    watch.total++
    watch.kept.push({ event: shown, characters })
    let all = watch.kept.reduce((sum, one) => sum + one.characters, 0)
    while (watch.kept.length > MAX_KEPT_EVENTS || all > MAX_KEPT_CHARACTERS) all -= watch.kept.shift()!.characters
    tell(watch)
  }

  function tell(watch: Watch): void {
    watch.isTold = false
    if (watch.timer !== undefined) return
    watch.isTold = true
    watch.timer = setTimeout(() => {
      watch.timer = undefined
      if (!watch.isTold) tell(watch)
    }, minUpdatedMs)
    for (const updated of watch.users.keys()) updated(watch.uri)
  }

  function end(watch: Watch): void {
    clearTimeout(watch.timer)
    detach(watch)
    watches.delete(watch.uri)
  }

  function begin(uri: string): Watch {
    if (!isTriggerUri(uri)) throw new MeshError('invalid_argument', 'this is no trigger of the mesh', { uri: uri.slice(0, 128) })
    if (watches.size >= MAX_WATCHED)
      throw new MeshError('busy', `clients of this node are subscribed to ${MAX_WATCHED} triggers, and that is the most`)
    const watch: Watch = {
      uri,
      users: new Map(),
      kept: [],
      total: 0,
      pattern: undefined,
      found: undefined,
      timer: undefined,
      isTold: true
    }
    const found = catalog.find(uri)
    if (typeof found !== 'string') attach(watch, found)
    watches.set(uri, watch)
    return watch
  }

  function stateOf(watch: Watch): WatchState {
    const { pattern, found } = watch
    if (pattern === undefined || found === undefined || typeof catalog.find(watch.uri) === 'string') return 'absent'
    if (found.local) return 'open'
    const source = kinds
      .get(pattern)!
      .subscription.sources()
      .find(({ node }) => node === found.node)
    if (source?.refused.includes(found.capability) === true) return 'refused'
    return source?.state ?? 'asking'
  }

  return {
    watch(uri, updated) {
      const watch = watches.get(uri) ?? begin(uri)
      watch.users.set(updated, (watch.users.get(updated) ?? 0) + 1)
      let isOver = false
      return () => {
        if (isOver) return
        isOver = true
        const left = watch.users.get(updated)! - 1
        if (left > 0) watch.users.set(updated, left)
        else watch.users.delete(updated)
        if (watch.users.size === 0) end(watch)
      }
    },
    read(uri) {
      const watch = watches.get(uri)
      if (watch === undefined) return { state: 'unsubscribed', total: 0, events: [] }
      return { state: stateOf(watch), total: watch.total, events: watch.kept.map(({ event }) => event) }
    },
    changed() {
      for (const watch of watches.values()) {
        const found = catalog.find(watch.uri)
        // One that is gone may come back, and what it raises then is wanted from its first event on.
        if (found === 'unknown') continue
        try {
          if (found === 'refused') detach(watch)
          else attach(watch, found)
        } catch {
          // No room for one more kind now: its state says that nothing comes, and the next change tries anew.
        }
      }
    },
    close() {
      for (const watch of [...watches.values()]) end(watch)
    }
  }
}
