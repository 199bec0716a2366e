import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { ChangedDescriptor } from '../mesh-api.ts'
import { differences, fingerprintOf, fitInto, isBlank, weightOf, type Differences, type Fingerprint } from './fingerprint.ts'

/** What to do with a capability of another node whose descriptor has changed: show it, or not call it either, until it is accepted. */
export const CHANGED_DESCRIPTORS = ['flag', 'block'] as const
/** One of {@link CHANGED_DESCRIPTORS}. */
export type ChangedDescriptors = (typeof CHANGED_DESCRIPTORS)[number]

/** Most pins in all. */
export const MAX_PINS = 16_384
/** Most pins of one origin: twice what it can offer at once. */
export const MAX_PINS_PER_ORIGIN = 2_048
/** Characters of details that are kept of one origin, and of all; past it a pin keeps less of the texts, then the hash alone. */
export const MAX_DETAILS = { origin: 256 * 1024, all: 4 * 1024 * 1024 } as const

/** A pin as it is kept over restarts. */
export interface StoredPin {
  /** PeerId of the origin. */
  origin: string
  /** Id of its capability. */
  id: string
  /** What is trusted. */
  pinned: Fingerprint
  /** What was seen last, if that is something else; since when, ISO 8601. */
  seen?: { hash: string; since: string }
}

/** All that is kept over restarts. `full`: origins that lost a pin for want of room. */
export interface StoredPins {
  pins: StoredPin[]
  full: string[]
}

/** What the capabilities of others said when they were first seen or last accepted, by origin and id. Pure; bounded. */
export interface Pins {
  /**
   * A capability of another node is there, or another version of it. The first sight pins it.
   * @returns true if it is not what is pinned, and that is news.
   */
  see(origin: string, declaration: CapabilityDeclaration, at: string): boolean
  /** It was withdrawn, or its node is gone. Its pin stays, so that this is no way round it. */
  gone(origin: string, id: string): void
  /** How a capability that is there differs from what is pinned; undefined if it does not. */
  changed(origin: string, id: string): ChangedDescriptor | undefined
  /** Pins what is there now. @returns false if it was not flagged. */
  accept(origin: string, id: string): boolean
  stored(): StoredPins
  readonly size: number
}

interface Pin {
  /** Undefined if there was no room to pin it. */
  pinned: Fingerprint | undefined
  weight: number
  seen: { hash: string; since: string } | undefined
  /** What is there now; undefined if nothing is. */
  current: Fingerprint | undefined
  changed: ChangedDescriptor | undefined
}

/** The pins of one origin, the oldest first. */
interface Share {
  pins: Map<string, Pin>
  pinned: number
  weight: number
  /** It lost a pin: what is unknown of it may be what it was, so its first sights are no longer trusted. */
  full: boolean
}

const UNKNOWN: Differences = { capability: [{ what: 'unknown' }], tools: [] }

/** See {@link Pins}. @param onStored told when what is to be kept has changed. */
export function createPins(initial: StoredPins = { pins: [], full: [] }, onStored: () => void = () => undefined): Pins {
  const shares = new Map<string, Share>()
  let size = 0
  let weight = 0

  function shareOf(origin: string): Share {
    let share = shares.get(origin)
    if (share === undefined) shares.set(origin, (share = { pins: new Map<string, Pin>(), pinned: 0, weight: 0, full: false }))
    return share
  }

  function set(share: Share, pin: Pin, fingerprint: Fingerprint | undefined): void {
    const rooms = [MAX_DETAILS.origin - share.weight, MAX_DETAILS.all - weight].map((room) => room + pin.weight)
    const pinned = fingerprint && fitInto(fingerprint, Math.min(...rooms))
    const change = Number(pinned !== undefined) - Number(pin.pinned !== undefined)
    const growth = (pinned === undefined ? 0 : weightOf(pinned)) - pin.weight
    share.pinned += change
    size += change
    share.weight += growth
    weight += growth
    pin.weight += growth
    pin.pinned = pinned
  }

  /** Of its own share, one that is not there now if possible. */
  function evictFrom(share: Share): void {
    const pinned = [...share.pins].filter(([, pin]) => pin.pinned !== undefined)
    const [id, pin] = pinned.find(([, { current }]) => current === undefined) ?? pinned[0]!
    set(share, pin, undefined)
    share.pins.delete(id)
    share.full = true
  }

  function largest(): Share {
    return [...shares.values()].reduce((a, b) => (b.pinned > a.pinned ? b : a))
  }

  /** Whoever has most makes room, but not for one that has as much: an origin with many ids pushes out its own. */
  function hasRoom(share: Share): boolean {
    if (share.full || share.pinned >= MAX_PINS_PER_ORIGIN) return false
    if (size < MAX_PINS) return true
    const most = largest()
    if (most.pinned <= share.pinned + 1) return false
    evictFrom(most)
    return true
  }

  function flag(pin: Pin, now: Fingerprint, difference: Differences, at: string): boolean {
    const news = pin.seen?.hash !== now.hash
    if (news) pin.seen = { hash: now.hash, since: at }
    pin.changed = { since: pin.seen!.since, hash: now.hash, ...difference }
    return news
  }

  for (const origin of initial.full) shareOf(origin).full = true
  for (const { origin, id, pinned, seen } of initial.pins.slice(0, MAX_PINS)) {
    const share = shareOf(origin)
    if (share.pins.has(id) || share.pinned >= MAX_PINS_PER_ORIGIN) continue
    const pin: Pin = { pinned: undefined, weight: 0, seen, current: undefined, changed: undefined }
    share.pins.set(id, pin)
    set(share, pin, pinned)
  }

  return {
    see(origin, declaration, at) {
      const { id } = declaration
      const share = shares.get(origin)
      const known = share?.pins.get(id)
      if (known === undefined && isBlank(declaration)) return false
      const now = fingerprintOf(declaration)
      const of = share ?? shareOf(origin)
      const pin = known ?? { pinned: undefined, weight: 0, seen: undefined, current: undefined, changed: undefined }
      pin.current = now
      if (known === undefined) {
        const trusted = hasRoom(of)
        of.pins.set(id, pin)
        if (trusted) {
          set(of, pin, now)
          onStored()
          return false
        }
      }
      const difference = pin.pinned === undefined ? UNKNOWN : differences(pin.pinned, now)
      const before = pin.seen
      const news = difference !== undefined && flag(pin, now, difference, at)
      if (difference === undefined) pin.seen = pin.changed = undefined
      if (pin.pinned !== undefined && pin.seen !== before) onStored()
      return news
    },

    gone(origin, id) {
      const share = shares.get(origin)
      const pin = share?.pins.get(id)
      if (share === undefined || pin === undefined) return
      pin.current = pin.changed = undefined
      if (pin.pinned !== undefined) return
      share.pins.delete(id)
      if (share.pins.size === 0 && !share.full) shares.delete(origin)
    },

    changed: (origin, id) => shares.get(origin)?.pins.get(id)?.changed,

    accept(origin, id) {
      const share = shares.get(origin)
      const pin = share?.pins.get(id)
      if (share === undefined || pin?.changed === undefined) return false
      if (pin.pinned === undefined) {
        // Here a person has decided: that outranks who has how many.
        if (share.pinned >= MAX_PINS_PER_ORIGIN) evictFrom(share)
        else if (size >= MAX_PINS) evictFrom(largest())
      }
      set(share, pin, pin.current)
      pin.seen = pin.changed = undefined
      onStored()
      return true
    },

    stored() {
      const pins: StoredPin[] = []
      const full: string[] = []
      for (const [origin, share] of shares) {
        if (share.full) full.push(origin)
        for (const [id, { pinned, seen }] of share.pins)
          if (pinned !== undefined) pins.push({ origin, id, pinned, ...(seen !== undefined && { seen }) })
      }
      return { pins, full }
    },

    get size() {
      return size
    }
  }
}
