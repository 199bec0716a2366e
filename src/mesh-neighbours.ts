/** With which neighbours a node speaks of routes: with none as long as nobody wants any. */
import type { Directory } from './core/directory.ts'
import { createWanted, type WantsChange } from './core/routing/wanted.ts'

/** Neighbours that are asked for routes at first, and as many more each second while some are missing. */
export const NEIGHBOURS_AT_ONCE = 8
/** How often more are asked, in ms. */
export const WIDEN_EVERY_MS = 1_000
/** While nobody speaks of routes: a node that is not connected may be so in a moment, in ms. */
export const ASK_AFTER_MS = 500

/** See {@link createMeshNeighbours}. */
export interface MeshNeighbours {
  /** Nodes are known, connected or gone that were not: what is wanted is looked at soon. */
  changed(): void
  /** For a neighbour that has heard nothing yet. */
  wants(): WantsChange
  isWanted(node: string): boolean
  /** A neighbour wants a way to this node: where that is a neighbour, too, it must tell of itself. */
  askedFor(node: string): void
  stop(): void
}

/** What it needs. */
export interface MeshNeighboursComponents {
  self: string
  directory: Pick<Directory, 'entries' | 'get'>
  /** PeerIds of nodes with a session. */
  connected(): string[]
  isUp(peer: string): boolean
  /** Begins to speak of routes with a neighbour; never rejects. */
  open(peer: string): Promise<void>
  hasRoute(node: string): boolean
  random: () => number
  /** What is wanted has changed; `gone` are wanted no more. */
  onWants(change: WantsChange, gone: string[]): void
}

/** See {@link MeshNeighbours}. */
export function createMeshNeighbours(components: MeshNeighboursComponents): MeshNeighbours {
  const { self, directory, connected, isUp, hasRoute, random, onWants } = components
  const wanted = createWanted()
  /** Nodes that neighbours want a way to. */
  const asked = new Set<string>()
  const opening = new Set<string>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let widening: ReturnType<typeof setTimeout> | undefined
  let atMost = NEIGHBOURS_AT_ONCE

  function look(): void {
    timer = undefined
    const nodes = new Set<string>()
    for (const { origin, document, connected: isConnected } of directory.entries())
      if (document !== undefined && !isConnected && origin !== self) nodes.add(origin)
    const changed = wanted.set(nodes)
    if (changed !== undefined) onWants(changed.change, changed.gone)
    if (wanted.size > 0) ask()
    else atMost = NEIGHBOURS_AT_ONCE
    for (const node of asked)
      if (directory.get(node) === undefined) asked.delete(node)
      else if (connected().includes(node)) open(node)
  }

  function open(peer: string): void {
    if (isUp(peer) || opening.has(peer)) return
    opening.add(peer)
    void components.open(peer).finally(() => opening.delete(peer))
  }

  /** Those that speak of routes already count; which others is left to chance, so that not all ask the same. */
  function ask(): void {
    const peers = connected()
    const others = peers.filter((peer) => !isUp(peer) && !opening.has(peer))
    const up = peers.length - others.length
    for (let n = up; n < atMost && others.length > 0; n++) open(others.splice(Math.floor(random() * others.length), 1)[0]!)
    if (others.length > 0) widen()
  }

  /** More are asked while there is a node that nobody has lost and to which no way is known. */
  function widen(): void {
    if (widening !== undefined) return
    widening = setTimeout(() => {
      widening = undefined
      if (!isAnyMissing()) return
      atMost += NEIGHBOURS_AT_ONCE
      ask()
    }, WIDEN_EVERY_MS)
    widening.unref?.()
  }

  function isAnyMissing(): boolean {
    for (const { origin, lost } of directory.entries())
      if (lost === undefined && wanted.has(origin) && !hasRoute(origin)) return true
    return false
  }

  return {
    changed() {
      if (timer !== undefined) return
      timer = setTimeout(look, connected().some(isUp) ? 0 : ASK_AFTER_MS)
      timer.unref?.()
    },
    wants: () => wanted.whole(),
    isWanted: (node) => wanted.has(node),
    askedFor(node) {
      if (directory.get(node) === undefined) return
      asked.add(node)
      if (connected().includes(node)) open(node)
    },
    stop() {
      clearTimeout(timer)
      clearTimeout(widening)
    }
  }
}
