import {
  MAX_ANSWERS,
  MAX_HANDLING,
  MAX_UNACCEPTED,
  MAX_UNACCEPTED_BYTES,
  encodeAnswers,
  type Failure
} from '../../protocols/trigger/messages.ts'
import type { InboxAnswer } from '../core/triggers/inbox-contract.ts'
import { MeshError } from '../errors.ts'

/** What a node of handlers answers over one exchange: many deliveries in an item, as they come. */
export interface TriggerAnswers {
  /** A delivery has come. @throws MeshError `protocol_error` if it has not the next number, or too many are open; what the exchange has ended with. */
  open(number: number, bytes: number): void
  /** Once it has an answer for good, or the exchange is over, more do nothing. */
  answer(number: number, answer: InboxAnswer): void
  /** Whether an answer for good to a delivery is waited for: false once the exchange is over. */
  isOpen(number: number): boolean
  /** No more deliveries come: the items end when all are answered. */
  end(): void
  /** The exchange ends, as soon as the answers that there are have gone. */
  fail(error: MeshError): void
  /** Resolves when so many answers have gone that more deliveries may be read; undefined: they may now. Who does not take answers must not make them pile up. */
  room(): Promise<void> | undefined
  items(): AsyncGenerator<unknown, void, void>
}

/** Most that may be open: what is accepted while as much as may be is handled included. A source that keeps to the bounds never has so many, but the same event again and again is accepted each time. */
const MAX_OPEN = MAX_UNACCEPTED + MAX_HANDLING

interface Open {
  bytes: number
  isAccepted: boolean
}

/** See {@link TriggerAnswers}. */
export function createTriggerAnswers(): TriggerAnswers {
  const open = new Map<number, Open>()
  let next = 0
  let [unaccepted, bytes] = [0, 0]
  const [accepted, done]: [number[], number[]] = [[], []]
  const failed: Failure[] = []
  let isEnded = false
  let error: MeshError | undefined
  let wake: (() => void) | undefined
  let onRoom: (() => void) | undefined

  function take(one: Open): void {
    if (one.isAccepted) return
    one.isAccepted = true
    unaccepted--
    bytes -= one.bytes
  }

  const waiting = (): number => accepted.length + done.length + failed.length

  return {
    open(number, size) {
      if (error !== undefined) throw error
      if (number !== next++) throw new MeshError('protocol_error', 'the numbers of deliveries must follow each other')
      if (++unaccepted > MAX_UNACCEPTED || (bytes += size) > MAX_UNACCEPTED_BYTES || open.size >= MAX_OPEN)
        throw new MeshError('protocol_error', 'more deliveries without an answer than there may be')
      open.set(number, { bytes: size, isAccepted: false })
    },
    answer(number, answer) {
      const one = open.get(number)
      if (one === undefined || (answer === 'accepted' && one.isAccepted)) return
      take(one)
      if (answer === 'accepted') accepted.push(number)
      else {
        open.delete(number)
        if (answer === 'done') done.push(number)
        else failed.push({ number, ...answer })
      }
      wake?.()
    },
    isOpen: (number) => open.has(number),
    end() {
      isEnded = true
      wake?.()
    },
    fail(why) {
      error ??= why
      open.clear()
      wake?.()
      onRoom?.()
    },
    room: () =>
      waiting() < MAX_UNACCEPTED || error !== undefined ? undefined : new Promise<void>((resolve) => (onRoom = resolve)),
    async *items() {
      for (;;) {
        while (waiting() > 0) {
          const answers = encodeAnswers({
            accepted: accepted.splice(0, MAX_ANSWERS),
            done: done.splice(0, MAX_ANSWERS),
            failed: failed.splice(0, MAX_ANSWERS)
          })
          if (waiting() < MAX_UNACCEPTED) onRoom?.()
          yield answers
        }
        if (error !== undefined) throw error
        if (isEnded && open.size === 0) return
        await new Promise<void>((resolve) => (wake = resolve))
        wake = undefined
      }
    }
  }
}
