import type { InboxEvent } from './inbox-contract.ts'
import { QUEUE_ROOM } from './priority-queues.ts'

/** Bytes of all events that are to be handled. */
export const MAX_INBOX_BYTES = 64 * 1024 * 1024
/** Of those of one node: it cannot take the room of others. */
export const MAX_INBOX_BYTES_OF_NODE = 16 * 1024 * 1024
/** A node has at most so many times as many places at a handler as are free then: alone it gets two thirds of them, and whoever comes finds some. */
export const NODE_SHARE = 2
/** The same for a subject of an ordered handler: one that is slow cannot take what its node may have. */
export const SUBJECT_SHARE = 1

/**
 * What may be in the inbox: so many bytes, and of each handler and priority so many events that are not begun. Shares go by what is free (as the dynamic thresholds of Choudhury and Hahne,
 * 1998, for buffers of switches), so that nothing has to be known of who is there.
 */
export interface InboxRoom {
  /** Whether it has the bytes for one more. */
  hasBytes(event: InboxEvent): boolean
  /** Whether it has a place. @param isOrdered its subject has a share as well. */
  hasPlace(event: InboxEvent, isOrdered: boolean): boolean
  /** It is in, and waits. What was promised before is in, whether there is room or not. */
  add(event: InboxEvent): void
  /** It is begun: its place is free. */
  begin(event: InboxEvent): void
  /** It waits again. */
  again(event: InboxEvent): void
  /** It is out. @param waits it was not begun. */
  delete(event: InboxEvent, waits: boolean): void
}

/** See {@link InboxRoom}. */
export function createInboxRoom(): InboxRoom {
  const bytesOf = new Map<string, number>()
  const places = new Map<string, number>()
  let bytes = 0

  function weigh({ node, bytes: size }: InboxEvent, sign: 1 | -1): void {
    bytes += sign * size
    count(bytesOf, node, sign * size)
  }

  function place(event: InboxEvent, sign: 1 | -1): void {
    for (const key of keysOf(event)) count(places, key, sign)
  }

  return {
    hasBytes: ({ node, bytes: more }) =>
      bytes + more <= MAX_INBOX_BYTES && (bytesOf.get(node) ?? 0) + more <= MAX_INBOX_BYTES_OF_NODE,
    hasPlace(event, isOrdered) {
      const [taken, ofNode, ofSubject] = keysOf(event).map((key) => places.get(key) ?? 0) as [number, number, number]
      const free = QUEUE_ROOM[event.priority] - taken
      return ofNode < NODE_SHARE * free && (!isOrdered || ofSubject < SUBJECT_SHARE * free)
    },
    add(event) {
      weigh(event, 1)
      place(event, 1)
    },
    begin: (event) => place(event, -1),
    again: (event) => place(event, 1),
    delete(event, waits) {
      weigh(event, -1)
      if (waits) place(event, -1)
    }
  }
}

/** Of the handler and priority, of these the node, of these the subject. */
function keysOf({ handler, priority, node, of }: InboxEvent): [string, string, string] {
  const key = `${priority} ${handler}`
  return [key, `${key} node ${node}`, `${key} subject ${of}`]
}

function count(counts: Map<string, number>, key: string, more: number): void {
  const left = (counts.get(key) ?? 0) + more
  if (left === 0) counts.delete(key)
  else counts.set(key, left)
}
