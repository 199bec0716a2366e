/** One interface and address family of mDNS: its socket, its queries and answers, and its rebuilding after trouble. Node only. */
import type { RemoteInfo } from 'node:dgram'
import { encodeGoodbye, encodeQuery } from './mdns-records.ts'
import type { DnsRecord } from './mdns-records.ts'
import { openMdnsSocket } from './mdns-socket.ts'
import type { HeardMessage, MdnsSocket } from './mdns-socket.ts'

/** Queries of a new socket, ms after its opening. */
export const QUERY_BURST_MS = [0, 200, 1_000] as const
/** Answers of one socket are at least this far apart; queries in between share one (RFC 6762 §6 says 1 s, which would slow a starting neighbour). */
export const ANSWER_GAP_MS = 100
/** A query unanswered even by ourselves for so long means that multicast does not work, ms. */
export const SILENCE_MS = 10_000
/** Wait before a failed socket is rebuilt, ms; doubles from the first to the second, jittered by half. */
export const REBUILD_MS = { min: 500, max: 30_000 } as const

/** Where an outlet is. */
export interface OutletPlace {
  /** `<name>/<family>` */
  key: string
  /** Interface name. */
  name: string
  family: 4 | 6
  /** An address of the interface, of that family. */
  address: string
  /** Changes when the interface is replaced or gets other addresses. */
  signature: string
}

/** What all outlets share. */
export interface OutletShared {
  instance: string
  port: number
  now(): number
  random(): number
  /** Time until the next query, ms, jittered. */
  nextQueryMs(): number
  /** Asked before a packet is decoded. */
  admit(bytes: number, from: string): boolean
  /** True if a packet from there came in by this interface. */
  belongs(place: OutletPlace, from: RemoteInfo): boolean
  onMessage(outlet: Outlet, message: HeardMessage, from: RemoteInfo): void
  onMalformed(): void
  onTrouble(place: OutletPlace, reason: string): void
  /** Whether something is heard, or how long nothing is, may have changed. */
  onHearing(): void
  /** The records of our answer for this place; undefined if there is nothing to say. */
  answer(place: OutletPlace): { answers: DnsRecord[]; additionals: DnsRecord[] } | undefined
}

/** An open outlet. */
export interface Outlet extends OutletPlace {
  /** Something was heard since the socket was opened. */
  readonly heard: boolean
  /** Nothing came back for {@link SILENCE_MS}. */
  isSilent(): boolean
  /** Code of the last trouble, undefined when all is well. */
  readonly trouble: string | undefined
  /** Answers now, or within {@link ANSWER_GAP_MS} together with others. */
  answer(): void
  /** A neighbour asked: our next query may be left out, as its answers go to all (RFC 6762 §7.3). */
  noteForeignQuery(): void
  goodbye(): Promise<void>
  close(): Promise<void>
}

/** Opens an outlet. Never throws; what goes wrong is tried again until `close`. */
export function openOutlet(place: OutletPlace, shared: OutletShared): Outlet {
  const { now, random } = shared
  const timers = new Set<NodeJS.Timeout>()
  let socket: MdnsSocket | undefined
  let failures = 0
  let trouble: string | undefined
  let heard = false
  let unheardSince: number | undefined
  let foreignQueryAt = -Infinity
  let answeredAt = -Infinity
  let answerQueued = false

  const later = (ms: number, action: () => void): void => {
    const timer = setTimeout(() => {
      timers.delete(timer)
      action()
    }, ms)
    timers.add(timer)
  }

  const shut = async (): Promise<void> => {
    for (const timer of timers) clearTimeout(timer)
    timers.clear()
    answerQueued = heard = false
    const old = socket
    socket = undefined
    await old?.close()
  }

  const isSilent = (): boolean => unheardSince !== undefined && now() - unheardSince >= SILENCE_MS

  const fail = (reason: string): void => {
    void shut()
    trouble = reason
    unheardSince ??= now()
    shared.onTrouble(place, reason)
    const wait = Math.min(REBUILD_MS.max, REBUILD_MS.min * 2 ** failures++)
    later(wait * (0.5 + random()), open)
    // The limit may pass while no socket is open.
    if (!isSilent()) later(unheardSince + SILENCE_MS - now() + 1, shared.onHearing)
  }

  const checkSilence = (): void => {
    if (isSilent() && socket !== undefined) fail('nothing heard, not even our own packets')
    shared.onHearing()
  }

  const query = (): void => {
    if (unheardSince === undefined) {
      unheardSince = now()
      later(SILENCE_MS + 1, checkSilence)
    }
    void socket?.send('query', encodeQuery())
  }

  const queryLater = (): void => {
    const ms = shared.nextQueryMs()
    later(ms, () => {
      if (now() - foreignQueryAt > ms / 2) query()
      queryLater()
    })
  }

  const hearing = (): void => {
    failures = 0
    trouble = unheardSince = undefined
    if (heard) return
    heard = true
    shared.onHearing()
  }

  const open = (): void => {
    const mine: MdnsSocket = openMdnsSocket({
      ...place,
      port: shared.port,
      admit: (bytes, from) => {
        // Every socket hears every packet: only the one it belongs to pays for it.
        if (!shared.belongs(place, from)) return false
        const admitted = shared.admit(bytes, from.address)
        // In a flood our own packets may be among those not looked at: multicast works all the same.
        if (!admitted && socket === mine) hearing()
        return admitted
      },
      onMessage: (message, from) => {
        if (socket !== mine) return
        hearing()
        shared.onMessage(outlet, message, from)
      },
      onMalformed: () => shared.onMalformed(),
      onTrouble: (error) => {
        if (socket === mine) fail(error.code ?? error.message)
      }
    })
    socket = mine
    for (const ms of QUERY_BURST_MS) later(ms, query)
    queryLater()
    // Counted from the first query after the opening, even when the silence began with an earlier socket.
    later(SILENCE_MS + 1, checkSilence)
  }

  const outlet: Outlet = {
    ...place,
    get heard() {
      return heard
    },
    get trouble() {
      return trouble
    },
    isSilent,
    answer: () => {
      if (answerQueued) return
      const wait = answeredAt + ANSWER_GAP_MS - now()
      const send = (): void => {
        answerQueued = false
        answeredAt = now()
        const records = shared.answer(place)
        if (records !== undefined) void socket?.send('response', records)
      }
      if (wait <= 0) return send()
      answerQueued = true
      later(wait, send)
    },
    noteForeignQuery: () => {
      foreignQueryAt = now()
    },
    goodbye: async () => socket?.send('response', encodeGoodbye(shared.instance)),
    close: shut
  }
  open()
  return outlet
}
