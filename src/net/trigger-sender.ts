import {
  MAX_EVENT_BYTES,
  decodeAnswers,
  encodeDelivery,
  encodeTriggerOpen,
  type Priority
} from '../../protocols/trigger/messages.ts'
import { createDeliveryWindow, type Delivered, type DeliveryAnswer } from '../core/triggers/delivery-window.ts'
import type { Sending } from '../core/triggers/outbox-contract.ts'
import { createPriorityQueues, type PriorityQueues } from '../core/triggers/priority-queues.ts'
import { MeshError } from '../errors.ts'
import type { Session } from './session.ts'

/** An exchange over which nothing went for this long is ended, in ms; with the next event there is another. */
export const SENDER_IDLE_MS = 300_000

/** An event on its way to one handler. */
export interface OutgoingEvent {
  id: string
  /** How the outbox names the handler. */
  key: string
  /** Id of the capability, at its node. */
  handler: string
  priority: Priority
  /** Encoded. */
  bytes: Uint8Array
  /** PeerIds as multihash bytes. */
  causes?: Uint8Array[] | undefined
}

/** Sends events to the nodes of their handlers: one exchange for each, as long as there is something to send. */
export interface TriggerSender {
  /** What finds no room is told as lost, before this returns. */
  send(node: string, event: OutgoingEvent): void
  stop(): void
}

/** What it needs. */
export interface TriggerSenderComponents {
  /** The session with a node, once it is reached. */
  connect(node: string): Promise<Session>
  /** An event goes now. @returns undefined if it is not to be sent any more. */
  onSent(id: string, key: string): Sending | undefined
  onAnswer(answer: DeliveryAnswer): void
  /** It has not arrived, or nobody will say what became of it. */
  onLost(lost: Delivered): void
  now: () => number
}

interface Line {
  readonly over: AbortController
  push(event: OutgoingEvent): boolean
  run(): Promise<void>
}

/** See {@link TriggerSender}. */
export function createTriggerSender({ connect, onSent, onAnswer, onLost, now }: TriggerSenderComponents): TriggerSender {
  const lines = new Map<string, Line>()
  let stopped = false

  function createLine(node: string): Line {
    const over = new AbortController()
    const window = createDeliveryWindow()
    const queues = createPriorityQueues<OutgoingEvent>()
    /** By handler, what waits for its earlier ones to be answered. */
    const parked = new Map<string, PriorityQueues<OutgoingEvent>>()
    /** Whether that has its turn, or what has just been queued. */
    let isTurnOfParked = true
    let wake: (() => void) | undefined
    let isClosed = false

    const lose = ({ id, key }: OutgoingEvent): void => onLost({ id, handler: key })

    function queue(waiting: PriorityQueues<OutgoingEvent>, event: OutgoingEvent): boolean {
      const { taken, dropped } = waiting.push(event, event.priority, now())
      if (dropped !== undefined) lose(dropped)
      return taken
    }

    function park(event: OutgoingEvent): void {
      const waiting = parked.get(event.key) ?? createPriorityQueues<OutgoingEvent>()
      parked.set(event.key, waiting)
      if (!queue(waiting, event)) lose(event)
    }

    function takeParked(): OutgoingEvent | undefined {
      for (const [key, waiting] of parked) {
        if (!window.hasRoomFor(key, MAX_EVENT_BYTES)) continue
        const event = waiting.take(now())
        // The others have their turn first.
        parked.delete(key)
        if (waiting.size > 0) parked.set(key, waiting)
        return event
      }
      return undefined
    }

    function takeQueued(): OutgoingEvent | undefined {
      for (let event = queues.take(now()); event !== undefined; event = queues.take(now())) {
        if (!parked.has(event.key) && window.hasRoomFor(event.key, event.bytes.length)) return event
        park(event)
      }
      return undefined
    }

    /** What is critical does not wait for what has been parked; the rest takes turns with it, since much may be parked for one handler. */
    function take(): OutgoingEvent | undefined {
      if (!window.hasRoom(MAX_EVENT_BYTES)) return undefined
      const urgent = queues.sizeOf('critical') > 0 ? takeQueued() : undefined
      if (urgent !== undefined) return urgent
      isTurnOfParked = !isTurnOfParked
      return isTurnOfParked ? (takeQueued() ?? takeParked()) : (takeParked() ?? takeQueued())
    }

    /** Resolves when there may be something to send; false: nothing was for long. */
    async function isWoken(): Promise<boolean> {
      let timer: ReturnType<typeof setTimeout> | undefined
      try {
        return await new Promise<boolean>((resolve) => {
          wake = () => resolve(!isClosed)
          timer = setTimeout(() => resolve(false), SENDER_IDLE_MS)
          timer.unref?.()
        })
      } finally {
        clearTimeout(timer)
        wake = undefined
      }
    }

    async function* deliveries(): AsyncGenerator<unknown, void, void> {
      for (;;) {
        const event = take()
        if (event === undefined) {
          if (await isWoken()) continue
          if (!isClosed && window.size > 0) continue
          // What comes from now on goes over another exchange: this one takes no more.
          forget(node, line)
          return
        }
        const { id, key, handler, bytes, causes } = event
        const sending = onSent(id, key)
        // It is on its way already: over an exchange that lasts nothing gets lost, and twice is no sooner.
        if (sending === undefined || window.isOpen(id, key)) continue
        const number = window.open(id, key, bytes.length)
        yield encodeDelivery({ number, handler, event: bytes, causes, ...sending })
      }
    }

    const line: Line = {
      over,
      push(event) {
        const taken = queue(parked.get(event.key) ?? queues, event)
        wake?.()
        return taken
      },
      async run() {
        try {
          const session = await connect(node)
          if (over.signal.aborted) return
          const replies = session.request(encodeTriggerOpen({ kind: 'deliver' }), { signal: over.signal, input: deliveries() })
          for await (const body of replies) {
            for (const answer of window.answered(decodeAnswers(body))) onAnswer(answer)
            wake?.()
          }
        } catch {
          // Whatever it was: what has no answer counts as lost, and is tried again by whoever keeps it.
        } finally {
          isClosed = true
          wake?.()
          forget(node, line)
          for (const lost of window.close()) onLost(lost)
          for (const waiting of [queues, ...parked.values()])
            for (let left = waiting.take(now()); left !== undefined; left = waiting.take(now())) lose(left)
          parked.clear()
        }
      }
    }
    return line
  }

  function forget(node: string, line: Line): void {
    if (lines.get(node) === line) lines.delete(node)
  }

  return {
    send(node, event) {
      if (stopped) return onLost({ id: event.id, handler: event.key })
      let line = lines.get(node)
      const isNew = line === undefined
      line ??= createLine(node)
      if (isNew) lines.set(node, line)
      if (!line.push(event)) onLost({ id: event.id, handler: event.key })
      if (isNew) void line.run()
    },
    stop() {
      stopped = true
      for (const { over } of lines.values()) over.abort(new MeshError('unavailable', 'the node is stopping'))
    }
  }
}
