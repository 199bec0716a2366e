import type { Directory } from '../core/directory.ts'
import { originId } from '../core/document.ts'
import type { Link, Links } from './links.ts'
import type { Sync } from './sync.ts'

/** How often the directory is compared with a random neighbour's, in ms. */
export const RECONCILE_INTERVAL_MS = 20_000
/** A link that is new is compared again after this, in ms: what was announced before gossip had taken hold. */
export const SECOND_LOOK_MS = 1_000
/** News is passed on to the other neighbours after this, in ms, together with what else comes meanwhile. */
export const REPUSH_DELAY_MS = 50

/** Decides when to compare with whom. */
export interface Reconciler {
  start(): void
  stop(): void
  up(link: Link): void
  /** Gets the record of an origin from itself, or from whoever told of it. */
  pull(origin: Uint8Array, from: string): void
  /** Records came from a peer over sync: the other neighbours may lack them too. */
  learned(from: string): void
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

  function reconcile(link: Link): Promise<void> {
    return sync.reconcile(link.session, link.peer).catch((error: Error) => {
      if (link.session.open) log(`comparing directories with ${link.peer}: ${error.message}`)
    })
  }

  function tick(): void {
    directory.expire(now())
    const all = links.all()
    const link = all[Math.floor(random() * all.length)]
    if (link !== undefined) void reconcile(link)
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

  function up(link: Link): void {
    // One side asks: both end up with the same. Before the start: done then.
    if (!running || !link.initiator) return
    void reconcile(link)
    later(SECOND_LOOK_MS * (1 + random()), () => links.get(link.peer)?.session === link.session && void reconcile(link))
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
    learned(from) {
      teachers.add(from)
      repush ??= later(REPUSH_DELAY_MS, () => {
        repush = undefined
        const others = links.all().filter((link) => !teachers.has(link.peer))
        teachers.clear()
        for (const link of others) void reconcile(link)
      })
    }
  }
}
