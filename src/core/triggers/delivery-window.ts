import { MAX_HANDLING, MAX_UNACCEPTED, MAX_UNACCEPTED_BYTES, type Answers } from '../../../protocols/trigger/messages.ts'
import { MeshError } from '../../errors.ts'
import type { FailedAnswer } from './outbox-contract.ts'

/** Which event a delivery was. */
export interface Delivered {
  id: string
  handler: string
}

/** An answer, to whom it is. */
export type DeliveryAnswer = Delivered & ({ kind: 'accepted' | 'done' } | ({ kind: 'failed' } & FailedAnswer))

/** Of what others of its node leave, one handler may have so much out: who answers late, or never, takes not all. */
export const HANDLER_SHARE = 0.75

/** The source's side of one exchange: which delivery has which number, and how many may be out. */
export interface DeliveryWindow {
  /** True if an event of so many bytes may be sent now. */
  hasRoom(bytes: number): boolean
  /** The same for one handler: it has its share of the room alone, but one may always be out. */
  hasRoomFor(handler: string, bytes: number): boolean
  /** True if it is out, and neither done nor failed: as long as the exchange lasts, there will be an answer. */
  isOpen(id: string, handler: string): boolean
  /** The number of the next delivery. */
  open(id: string, handler: string, bytes: number): number
  /** @throws MeshError `protocol_error` for numbers that were not given, or are answered: the exchange is to end. */
  answered(answers: Answers): DeliveryAnswer[]
  /** All that is not answered for good: the exchange has ended. */
  close(): Delivered[]
  /** Deliveries that are not answered for good. */
  readonly size: number
}

/** What is out. */
interface Load {
  unaccepted: number
  bytes: number
  /** Accepted and not answered for good. */
  handling: number
}

const ROOM: Load = { unaccepted: MAX_UNACCEPTED, bytes: MAX_UNACCEPTED_BYTES, handling: MAX_HANDLING }
const KINDS = ['unaccepted', 'bytes', 'handling'] as const

interface Open extends Delivered {
  bytes: number
  isAccepted: boolean
}

/** See {@link DeliveryWindow}. */
export function createDeliveryWindow(): DeliveryWindow {
  const open = new Map<number, Open>()
  const names = new Set<string>()
  const nameOf = (id: string, handler: string): string => `${id} ${handler}`
  const all: Load = { unaccepted: 0, bytes: 0, handling: 0 }
  const loads = new Map<string, Load>()
  let next = 0

  function add(handler: string, more: Load): void {
    const load = loads.get(handler) ?? { unaccepted: 0, bytes: 0, handling: 0 }
    for (const kind of KINDS) {
      all[kind] += more[kind]
      load[kind] += more[kind]
    }
    if (load.unaccepted + load.handling === 0) loads.delete(handler)
    else loads.set(handler, load)
  }

  function find(number: number, isAccepted: boolean): Open {
    const one = open.get(number)
    if (one === undefined || (isAccepted && one.isAccepted))
      throw new MeshError('protocol_error', 'a peer answers a delivery that it did not get, or has answered before')
    return one
  }

  function accept(one: Open): void {
    if (one.isAccepted) return
    one.isAccepted = true
    add(one.handler, { unaccepted: -1, bytes: -one.bytes, handling: 1 })
  }

  function end(number: number): Open {
    const one = find(number, false)
    open.delete(number)
    names.delete(nameOf(one.id, one.handler))
    accept(one)
    add(one.handler, { unaccepted: 0, bytes: 0, handling: -1 })
    return one
  }

  return {
    hasRoom: (more) => all.unaccepted < MAX_UNACCEPTED && all.bytes + more <= MAX_UNACCEPTED_BYTES && all.handling < MAX_HANDLING,
    hasRoomFor(handler, more) {
      const load = loads.get(handler)
      if (load === undefined) return true
      const shareOf = (kind: keyof Load): number => HANDLER_SHARE * (ROOM[kind] - all[kind] + load[kind])
      return (
        load.unaccepted + 1 <= shareOf('unaccepted') &&
        load.bytes + more <= shareOf('bytes') &&
        load.handling + 1 <= shareOf('handling')
      )
    },
    isOpen: (id, handler) => names.has(nameOf(id, handler)),
    open(id, handler, size) {
      names.add(nameOf(id, handler))
      open.set(next, { id, handler, bytes: size, isAccepted: false })
      add(handler, { unaccepted: 1, bytes: size, handling: 0 })
      return next++
    },
    answered({ accepted, done, failed }) {
      const answers: DeliveryAnswer[] = []
      for (const number of accepted) {
        const one = find(number, true)
        accept(one)
        answers.push({ kind: 'accepted', id: one.id, handler: one.handler })
      }
      for (const number of done) {
        const { id, handler } = end(number)
        answers.push({ kind: 'done', id, handler })
      }
      for (const { number, code, retryable, retryAfterMs, message } of failed) {
        const { id, handler } = end(number)
        answers.push({ kind: 'failed', id, handler, code, retryable, retryAfterMs, message })
      }
      return answers
    },
    close() {
      const lost = [...open.values()].map(({ id, handler }) => ({ id, handler }))
      open.clear()
      names.clear()
      loads.clear()
      Object.assign(all, { unaccepted: 0, bytes: 0, handling: 0 })
      return lost
    },
    get size() {
      return open.size
    }
  }
}
