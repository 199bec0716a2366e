/** With which neighbours a node speaks of routes: with none as long as nobody wants any. */
import type { Directory } from './core/directory.ts'
import { createWanted, type WantsChange } from './core/routing/wanted.ts'

/** Neighbours that are asked for routes at first, and twice as many each second while some are missing. Few: where many see a node die, all ask. */
export const NEIGHBOURS_AT_ONCE = 4
/** How often more are asked, in ms. */
export const WIDEN_EVERY_MS = 1_000
/** A node that was never connected is dialled first: a way to it is wanted once it has not been connected for this long, in ms. */
export const WANT_AFTER_MS = 2_000
/** And for this much longer for each neighbour, in ms: where there are many, each has as many to connect with, one after the other. */
export const WANT_LATER_MS = 100
/** Never longer than this in all, in ms, however many there are. */
export const WANT_WITHIN_MS = 10_000
/** Nodes come and go together, as far as they do so within this time, in ms. */
export const LOOK_AFTER_MS = 50
/** The same while nobody speaks of routes: a node that is not connected may be so in a moment. */
export const ASK_AFTER_MS = 500
/** Neighbours speak of routes for this long, in ms, after nobody wants any more. */
export const QUIET_AFTER_MS = 60_000

/** See {@link createMeshNeighbours}. */
export interface MeshNeighbours {
  /** Nodes are known, connected or gone that were not: what is wanted is looked at soon. */
  changed(): void
  /** For a neighbour that has heard nothing yet. */
  wants(): WantsChange
  isWanted(node: string): boolean
  /** A neighbour wants a way to this node: where that is a neighbour, too, it must tell of itself, and else this node wants one as well. */
  askedFor(node: string): void
  /** A session with this node has ended, or it could not be dialled: a way to it is wanted at once. */
  seek(node: string): void
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
  /** Ends to speak of routes with a neighbour. */
  close(peer: string): void
  /** What neighbours want ways to: these, or all nodes. */
  asked(): { all: boolean; nodes: ReadonlySet<string> }
  hasRoute(node: string): boolean
  /** Monotonic ms. */
  now: () => number
  random: () => number
  /** What is wanted has changed; `gone` are wanted no more. */
  onWants(change: WantsChange, gone: string[]): void
}

/** See {@link MeshNeighbours}. */
export function createMeshNeighbours(components: MeshNeighboursComponents): MeshNeighbours {
  const { self, directory, connected, isUp, close, hasRoute, now, random, onWants } = components
  const wanted = createWanted()
  const opening = new Set<string>()
  /** When nodes without a session were first seen without one, monotonic ms. */
  const apart = new Map<string, number>()
  let quiet: ReturnType<typeof setTimeout> | undefined
  let again: ReturnType<typeof setTimeout> | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let widening: ReturnType<typeof setTimeout> | undefined
  let atMost = NEIGHBOURS_AT_ONCE

  function look(): void {
    timer = undefined
    const nodes = new Set<string>()
    const at = now()
    const neighbours = new Set(connected())
    const wantAfterMs = Math.min(WANT_WITHIN_MS, WANT_AFTER_MS + WANT_LATER_MS * neighbours.size)
    let nextMs = Infinity
    for (const { origin, document, connected: isConnected } of directory.entries()) {
      if (document === undefined || isConnected || origin === self) {
        apart.delete(origin)
        continue
      }
      if (!apart.has(origin)) apart.set(origin, at)
      const waitMs = apart.get(origin)! + wantAfterMs - at
      if (waitMs <= 0) nodes.add(origin)
      else nextMs = Math.min(nextMs, waitMs)
    }
    for (const node of apart.keys()) if (directory.get(node) === undefined) apart.delete(node)
    clearTimeout(again)
    if (nextMs < Infinity) again = later(look, nextMs)
    const changed = wanted.set(nodes)
    if (changed !== undefined) onWants(changed.change, changed.gone)
    if (wanted.size > 0) ask()
    else {
      atMost = NEIGHBOURS_AT_ONCE
      if ([...neighbours].some(isUp)) quiet ??= later(hush, QUIET_AFTER_MS)
    }
    for (const node of components.asked().nodes) if (neighbours.has(node)) open(node)
  }

  /** Sessions that nobody needs are no use. */
  function hush(): void {
    quiet = undefined
    if (wanted.size > 0) return
    const { all, nodes } = components.asked()
    if (all || nodes.size > 0) quiet = later(hush, QUIET_AFTER_MS)
    else for (const peer of connected()) if (isUp(peer)) close(peer)
  }

  function later(what: () => void, ms: number): ReturnType<typeof setTimeout> {
    const one = setTimeout(what, ms)
    one.unref?.()
    return one
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
    widening = later(() => {
      widening = undefined
      if (!isAnyMissing()) return
      atMost *= 2
      ask()
    }, WIDEN_EVERY_MS)
  }

  function isAnyMissing(): boolean {
    for (const { origin, lost } of directory.entries())
      if (lost === undefined && wanted.has(origin) && !hasRoute(origin)) return true
    return false
  }

  return {
    changed() {
      if (timer !== undefined) return
      timer = later(look, connected().some(isUp) ? LOOK_AFTER_MS : ASK_AFTER_MS)
    },
    seek(node) {
      apart.set(node, -Infinity)
      this.changed()
    },
    wants: () => wanted.whole(),
    isWanted: (node) => wanted.has(node),
    askedFor(node) {
      if (directory.get(node) === undefined) return
      if (connected().includes(node)) open(node)
      // What is wanted there at once, is here, too: it may lead over more of us.
      else if (apart.get(node) !== -Infinity) this.seek(node)
    },
    stop() {
      for (const one of [timer, widening, quiet, again]) clearTimeout(one)
    }
  }
}
