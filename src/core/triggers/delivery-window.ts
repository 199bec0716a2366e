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

/** The source's side of one exchange: which delivery has which number, and how many may be out. */
export interface DeliveryWindow {
  /** True if an event of so many bytes may be sent now. */
  hasRoom(bytes: number): boolean
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

interface Open extends Delivered {
  bytes: number
  isAccepted: boolean
}

/** See {@link DeliveryWindow}. */
export function createDeliveryWindow(): DeliveryWindow {
  const open = new Map<number, Open>()
  const names = new Set<string>()
  const nameOf = (id: string, handler: string): string => `${id} ${handler}`
  let next = 0
  let unaccepted = 0
  let bytes = 0

  function find(number: number, isAccepted: boolean): Open {
    const one = open.get(number)
    if (one === undefined || (isAccepted && one.isAccepted))
      throw new MeshError('protocol_error', 'a peer answers a delivery that it did not get, or has answered before')
    return one
  }

  function accept(one: Open): void {
    if (one.isAccepted) return
    one.isAccepted = true
    unaccepted--
    bytes -= one.bytes
  }

  function end(number: number): Open {
    const one = find(number, false)
    open.delete(number)
    names.delete(nameOf(one.id, one.handler))
    accept(one)
    return one
  }

  return {
    hasRoom: (more) =>
      unaccepted < MAX_UNACCEPTED && bytes + more <= MAX_UNACCEPTED_BYTES && open.size - unaccepted < MAX_HANDLING,
    isOpen: (id, handler) => names.has(nameOf(id, handler)),
    open(id, handler, size) {
      names.add(nameOf(id, handler))
      open.set(next, { id, handler, bytes: size, isAccepted: false })
      unaccepted++
      bytes += size
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
      unaccepted = bytes = 0
      return lost
    },
    get size() {
      return open.size
    }
  }
}
