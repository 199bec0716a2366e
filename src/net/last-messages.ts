import { equals } from 'uint8arrays/equals'

/** Senders whose last packet is kept; the one heard longest ago is forgotten first. */
export const MAX_KEPT_SENDERS = 256

/** The last packet of each sender with what it meant: neighbours say the same again and again, and reading it is most of its cost. */
export interface LastMessages<T> {
  /** What these bytes meant when this sender sent them last; undefined if it sent something else. */
  recall(sender: string, packet: Uint8Array): T | undefined
  keep(sender: string, packet: Uint8Array, meaning: T): void
}

/** Keeps nothing yet. */
export function createLastMessages<T>(): LastMessages<T> {
  const kept = new Map<string, { packet: Uint8Array; meaning: T }>()
  return {
    recall(sender, packet) {
      const last = kept.get(sender)
      return last !== undefined && equals(last.packet, packet) ? last.meaning : undefined
    },
    keep(sender, packet, meaning) {
      kept.delete(sender)
      kept.set(sender, { packet: packet.slice(), meaning })
      if (kept.size > MAX_KEPT_SENDERS) kept.delete(kept.keys().next().value!)
    }
  }
}
