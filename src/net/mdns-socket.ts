/** One multicast socket for one interface and one address family. Node only. */
import { createSocket, type RemoteInfo } from 'node:dgram'
import { createRequire } from 'node:module'
import type { MulticastDNS, Options } from 'multicast-dns'
import { createLastMessages } from './last-messages.ts'
import type { DnsMessage } from './mdns-records.ts'

const multicastDns = createRequire(import.meta.url)('multicast-dns') as (options: Options) => MulticastDNS

/** A received DNS message. */
export type HeardMessage = DnsMessage & { type: 'query' | 'response' }

/** Where a socket listens and whom it tells. Callbacks come only between open and close. */
export interface MdnsSocketInit {
  /** Interface name. */
  name: string
  family: 4 | 6
  /** An address of the interface, of that family. */
  address: string
  /** UDP port, 5353. */
  port: number
  /** Asked before a packet is decoded, with where it came from; false drops it. */
  admit(bytes: number, from: RemoteInfo): boolean
  /** A packet that a sender repeats comes as the same object again. */
  onMessage(message: HeardMessage, from: RemoteInfo): void
  onMalformed(): void
  /** The socket cannot be used any more: close it. Called once at most. */
  onTrouble(error: NodeJS.ErrnoException): void
}

/** A socket that is open or opening. */
export interface MdnsSocket {
  /** Sends to the group; resolves when the system took it or refused it (then `onTrouble` came as well). */
  send(kind: 'query' | 'response', message: object): Promise<void>
  close(): Promise<void>
}

/** What the system may hold while this process is busy, bytes; it gives what it allows. The usual 208 KiB are full after 30 ms of a flood. */
const RECEIVE_BYTES = 1024 * 1024

/** Opens it. Never throws: what the system refuses comes through `onTrouble`. */
export function openMdnsSocket(init: MdnsSocketInit): MdnsSocket {
  let open = true
  const fail = (error: NodeJS.ErrnoException): void => {
    if (!open) return
    open = false
    // Later, because multicast-dns fails inside its own `listening` handler and goes on using the socket after it.
    queueMicrotask(() => init.onTrouble(error))
  }
  // ipv6Only: a dual-stack socket would hear the IPv4 packets a second time, under mapped addresses.
  const socket = createSocket({
    type: init.family === 4 ? 'udp4' : 'udp6',
    reuseAddr: true,
    ipv6Only: init.family === 6,
    recvBufferSize: RECEIVE_BYTES
  })
  const emit = socket.emit.bind(socket)
  const last = createLastMessages<HeardMessage>()
  /** The packet that multicast-dns decodes, before its `emit` returns. */
  let undecoded: Buffer | undefined
  // The gate stands before the decoder: decoding is what a flood would make us pay for.
  socket.emit = ((event: string, ...values: [never]) => {
    const [packet, from] = values as unknown as [Buffer, RemoteInfo]
    if (event === 'message') {
      if (!open || !init.admit(packet.length, from)) return true
      const message = last.recall(from.address, packet)
      if (message !== undefined) {
        init.onMessage(message, from)
        return true
      }
      undecoded = packet
    }
    return emit(event as 'message', ...(values as unknown as [never, never]))
  }) as typeof socket.emit
  const dns = multicastDns({
    socket,
    type: init.family === 4 ? 'udp4' : 'udp6',
    ip: init.family === 4 ? '224.0.0.251' : 'ff02::fb',
    port: init.port,
    // Membership and outgoing interface. Without it the default route decides, and without a default route nothing is sent.
    interface: init.family === 4 ? init.address : `::%${init.name}`,
    // A socket bound to an interface's address hears no multicast on Linux.
    bind: init.family === 4 ? '0.0.0.0' : '::'
  })
  const receive = (message: HeardMessage, from: RemoteInfo): void => {
    if (!open) return
    if (undecoded !== undefined) last.keep(from.address, undecoded, message)
    init.onMessage(message, from)
  }
  dns.on('query', receive)
  dns.on('response', receive)
  dns.on('error', fail)
  dns.on('warning', (error: NodeJS.ErrnoException) => {
    // Errors of the decoder come by the same event as those of the socket; only the latter name a system call.
    if (error.syscall === undefined) init.onMalformed()
    else fail(error)
  })
  return {
    send: (kind, message) =>
      new Promise((resolve) => {
        if (!open) return resolve()
        const sent = (error?: Error | null): void => {
          if (error) fail(error)
          resolve()
        }
        try {
          if (kind === 'query') dns.query(message as never, sent)
          else dns.respond(message as never, sent)
        } catch (error) {
          sent(error as Error)
        }
      }),
    close: () =>
      new Promise((resolve) => {
        open = false
        try {
          dns.destroy(resolve)
        } catch {
          resolve() // already closed by the system's error
        }
      })
  }
}
