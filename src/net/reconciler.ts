import type { Directory } from '../core/directory.ts'
import { originBytes, originId } from '../core/document.ts'
import type { Link, Links } from './links.ts'
import type { Sync } from './sync.ts'

/** How often the directory is compared with a random neighbour's, in ms. */
export const RECONCILE_INTERVAL_MS = 20_000
/** A link that is new is compared again after this, in ms: what was announced before gossip had taken hold. */
export const SECOND_LOOK_MS = 1_000
/** News is passed on to the other neighbours after this, in ms, together with what else comes meanwhile. */
export const REPUSH_DELAY_MS = 50

/**
 * Neighbours that a peer's own record is passed on to: gossip and the peer itself bring it to nearly all. With all of them a mesh
 * of n nodes would compare n² times for one that joins.
 */
export const REPUSH_OWN = 2
/**
 * Comparisons that this node has under way at once. A newcomer has fifty sessions in a moment: from the first neighbour it gets
 * everything, and then has the same as the others; all at once would bring everything fifty times.
 */
export const MAX_COMPARISONS = 3
/** A comparison that is not over after this time, in ms, goes on, but keeps no other from beginning. */
export const SLOW_COMPARISON_MS = 500
/** Wait before a busy peer is asked again, in ms, plus as much again at random. */
export const BUSY_RETRY_MS = 100
/** A peer that is still busy when it has been asked so often is left to the regular comparisons. */
export const MAX_BUSY_RETRIES = 20

/** Decides when to compare with whom. */
export interface Reconciler {
  start(): void
  stop(): void
  up(link: Link): void
  /** Gets the record of an origin from itself, or from whoever told of it. */
  pull(origin: Uint8Array, from: string): void
  /** Records came from a peer over sync: the other neighbours may lack them too. `hearsay` if any was not the peer's own. */
  learned(from: string, hearsay: boolean): void
  /** A neighbour, by PeerId, does not answer: the others are to ask it, too. */
  doubt(peer: string): void
}

/** What it needs. */
export interface ReconcilerComponents {
  links: Links
  sync: Sync
  directory: Directory
  now: () => number
  random: () => number
  log: (message: string) => void
}

/** See {@link Reconciler}. */
export function createReconciler({ links, sync, directory, now, random, log }: ReconcilerComponents): Reconciler {
  const timers = new Set<ReturnType<typeof setTimeout>>()
  /** Origins whose record is on its way, and whether it is to be got again after that. */
  const pulling = new Map<string, { again: (() => void) | undefined }>()
  const teachers = new Set<string>()
  /** Neighbours to compare with, in order. */
  const waiting = new Map<string, { link: Link; asked: number }>()
  let comparing = 0
  let repushAll = false
  let repush: ReturnType<typeof setTimeout> | undefined
  let running = false

  function later(ms: number, task: () => void): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => {
      timers.delete(timer)
      if (running) task()
    }, ms)
    timer.unref?.()
    timers.add(timer)
    return timer
  }

  /** Compares with a neighbour as soon as it is its turn; once if asked again before that. */
  function reconcile(link: Link, asked = 0): void {
    waiting.set(link.peer, { link, asked })
    next()
  }

  function next(): void {
    for (const [peer, { link, asked }] of waiting) {
      if (comparing >= MAX_COMPARISONS) return
      waiting.delete(peer)
      if (running && link.session.open) void compare(link, asked)
    }
  }

  async function compare(link: Link, asked: number): Promise<void> {
    let holds = true
    const giveWay = (): void => {
      if (!holds) return
      holds = false
      comparing--
      next()
    }
    comparing++
    const slow = later(SLOW_COMPARISON_MS, giveWay)
    try {
      const outcome = await sync.reconcile(link.session, link.peer)
      if (outcome === 'busy' && asked < MAX_BUSY_RETRIES) later(BUSY_RETRY_MS * (1 + random()), () => reconcile(link, asked + 1))
    } catch (error) {
      if (link.session.open) log(`comparing directories with ${link.peer}: ${(error as Error).message}`)
    } finally {
      clearTimeout(slow)
      timers.delete(slow)
      giveWay()
    }
  }

  function tick(): void {
    directory.expire(now())
    const all = links.all()
    const link = all[Math.floor(random() * all.length)]
    if (link !== undefined) reconcile(link)
    later(RECONCILE_INTERVAL_MS * (0.8 + 0.4 * random()), tick)
  }

  function pull(origin: Uint8Array, from: string): void {
    const id = originId(origin)
    const current = pulling.get(id)
    // What is on its way may be older than what was heard now.
    if (current !== undefined) return void (current.again = () => pull(origin, from))
    // The origin itself has its record for certain; who passed the head on may still wait for it.
    const link = links.get(id) ?? links.get(from)
    if (link === undefined) return
    const mine: { again: (() => void) | undefined } = { again: undefined }
    pulling.set(id, mine)
    sync
      .pull(link.session, link.peer, [origin])
      .catch((error: Error) => log(`getting the record of ${id} from ${link.peer}: ${error.message}`))
      .finally(() => {
        pulling.delete(id)
        if (running) mine.again?.()
      })
  }

  function someOf(all: Link[], count: number): Link[] {
    const some: Link[] = []
    while (some.length < count && all.length > 0) some.push(...all.splice(Math.floor(random() * all.length), 1))
    return some
  }

  function up(link: Link): void {
    // One side asks: both end up with the same. Before the start: done then.
    if (!running || !link.initiator) return
    reconcile(link)
    later(SECOND_LOOK_MS * (1 + random()), () => links.get(link.peer)?.session === link.session && reconcile(link))
  }

  return {
    start() {
      running = true
      later(RECONCILE_INTERVAL_MS * random(), tick)
      for (const link of links.all()) up(link)
    },
    stop() {
      running = false
      for (const timer of timers) clearTimeout(timer)
      timers.clear()
    },
    up,
    pull,
    learned(from, hearsay) {
      teachers.add(from)
      repushAll ||= hearsay
      repush ??= later(REPUSH_DELAY_MS, () => {
        const others = links.all().filter((link) => !teachers.has(link.peer))
        const chosen = repushAll ? others : someOf(others, REPUSH_OWN)
        repush = undefined
        repushAll = false
        teachers.clear()
        for (const link of chosen) reconcile(link)
      })
    },
    doubt(peer) {
      for (const link of links.all())
        // Whoever cannot be told will notice by itself.
        if (link.peer !== peer) sync.doubt(link.session, originBytes(peer)).catch(() => undefined)
    }
  }
}
