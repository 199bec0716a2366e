import type { Connection, Libp2p } from '@libp2p/interface'
import { JOIN_PROTOCOL } from '../../../protocols/join/messages.ts'
import { MEMBER_PROTOCOL, decodeMemberHello } from '../../../protocols/member/messages.ts'
import { NEARBY_PROTOCOL } from '../../../protocols/nearby/messages.ts'
import { decodeFrame, readPrefix } from '../../../protocols/framing/messages.ts'

/** What came on one stream, beneath libp2p's negotiation of its protocol. */
interface Ear {
  direction: 'inbound' | 'outbound'
  chunks: Uint8Array[]
}

/** What the stranger heard over all its connections. */
export interface Heard {
  streams: number
  /** Of the negotiation: names of protocols, and `na`. */
  negotiationBytes: number
  /** Refusals and greetings that the contracts name, by their words. */
  documented: Record<string, number>
  documentedBytes: number
  /** Everything else: how many bytes, and the first of them in hex. */
  learntBytes: number
  learnt: string[]
  /** Secrets that occurred, by name. */
  secrets: string[]
}

/** Protocols that answer a stranger, and how: with frames. */
const ANSWERING = new Set([MEMBER_PROTOCOL, JOIN_PROTOCOL, NEARBY_PROTOCOL])
/** Codes that say only what the stranger did. */
const REFUSALS = new Set(['permission_denied', 'protocol_error', 'too_large', 'deadline_exceeded'])
const LEARNT_KEPT = 20

/** Listens beneath the protocols of every stream, in both directions, and sorts what came. */
export interface Ears {
  attach(libp2p: Libp2p): void
  /** What came outside of libp2p: answers to bare sockets and HTTP requests. */
  note(bytes: Uint8Array): void
  heard(): Heard
}

/** @param secrets what must not occur, as bytes, by name. @param protocols ids that the stranger knows already. */
export function createEars(secrets: Record<string, Buffer[]>, protocols: readonly string[]): Ears {
  const heard: Heard = {
    streams: 0,
    negotiationBytes: 0,
    documented: {},
    documentedBytes: 0,
    learntBytes: 0,
    learnt: [],
    secrets: []
  }
  const open = new Set<Ear>()

  function search(bytes: Buffer): void {
    for (const [name, needles] of Object.entries(secrets))
      if (!heard.secrets.includes(name) && needles.some((needle) => bytes.includes(needle))) heard.secrets.push(name)
  }

  function attachTo(connection: Connection): void {
    const { muxer } = connection as unknown as { muxer: Muxer }
    const tap = (stream: TappedStream): void => {
      const ear: Ear = { direction: stream.direction, chunks: [stream.readBuffer.slice()] }
      open.add(ear)
      const onData = stream.onData.bind(stream)
      stream.onData = (data) => {
        ear.chunks.push(data.slice())
        onData(data)
      }
    }
    for (const stream of muxer.streams) tap(stream)
    const [onCreateStream, onRemoteStream] = [muxer.onCreateStream.bind(muxer), muxer.onRemoteStream.bind(muxer)]
    const tapped = (stream: TappedStream): TappedStream => {
      tap(stream)
      return stream
    }
    // That of WebRTC is asynchronous.
    muxer.onCreateStream = (options) => {
      const stream = onCreateStream(options)
      return stream instanceof Promise ? stream.then(tapped) : tapped(stream)
    }
    muxer.onRemoteStream = (stream) => {
      tap(stream)
      onRemoteStream(stream)
    }
  }

  function judge({ direction, chunks }: Ear): void {
    const bytes = Buffer.concat(chunks)
    search(bytes)
    heard.streams++
    const { protocol, end } = negotiated(bytes, protocols)
    heard.negotiationBytes += end
    const payload = bytes.subarray(end)
    if (payload.length === 0) return
    const words = ANSWERING.has(protocol) ? documented(payload, direction) : undefined
    if (words === undefined) {
      heard.learntBytes += payload.length
      if (heard.learnt.length < LEARNT_KEPT)
        heard.learnt.push(`${protocol} ${direction}: ${payload.toString('hex').slice(0, 400)}`)
      return
    }
    heard.documentedBytes += payload.length
    for (const word of words) {
      const key = `${protocol} ${word}`
      heard.documented[key] = (heard.documented[key] ?? 0) + 1
    }
  }

  return {
    attach: (libp2p) => libp2p.addEventListener('connection:open', ({ detail }) => attachTo(detail)),
    note: (bytes) => search(Buffer.from(bytes)),
    heard() {
      for (const ear of open) judge(ear)
      open.clear()
      return heard
    }
  }
}

/** Of libp2p's muxers and streams, beyond their interface: the only place where all bytes of the other side pass. */
interface TappedStream {
  direction: 'inbound' | 'outbound'
  readBuffer: { slice(): Uint8Array }
  onData(data: { slice(): Uint8Array }): void
}
interface Muxer {
  streams: TappedStream[]
  onCreateStream(options: unknown): TappedStream | Promise<TappedStream>
  onRemoteStream(stream: TappedStream): void
}

/** What multistream-select says: lines with their length before them, of names that everybody knows. Ends where something else begins. */
function negotiated(bytes: Buffer, protocols: readonly string[]): { protocol: string; end: number } {
  const known = new Set(['/multistream/1.0.0', 'na', ...protocols])
  let end = 0
  for (;;) {
    const next = line(bytes, end)
    const names = next && (namesIn(next.content) ?? [next.content.toString('utf8').replace(/\n$/, '')])
    if (next === undefined || !names!.every((name) => known.has(name))) return { protocol: '', end }
    end = next.end
    const [name, second] = names!
    // After its name a protocol begins, whatever it says.
    if (second === undefined && name !== undefined && protocols.includes(name)) return { protocol: name, end }
  }
}

function line(bytes: Buffer, at: number): { content: Buffer; end: number } | undefined {
  try {
    const prefix = readPrefix(bytes, at)
    if (prefix === undefined || prefix.start + prefix.length > bytes.length) return undefined
    const end = prefix.start + prefix.length
    return { content: bytes.subarray(prefix.start, end), end }
  } catch {
    return undefined
  }
}

/** The names of an answer to `ls`: lines within a line; undefined if it is none. */
function namesIn(content: Buffer): string[] | undefined {
  const names: string[] = []
  let at = 0
  for (let next = line(content, at); next !== undefined; next = line(content, at)) {
    names.push(next.content.toString('utf8').replace(/\n$/, ''))
    at = next.end
  }
  return names.length > 0 && content.subarray(at).toString() === '\n' ? names : undefined
}

/** The words of frames that the contracts allow towards a stranger; undefined if there is any other. */
function documented(payload: Buffer, direction: 'inbound' | 'outbound'): string[] | undefined {
  const words: string[] = []
  try {
    for (let at = 0; at < payload.length;) {
      const prefix = readPrefix(payload, at)
      if (prefix === undefined || prefix.start + prefix.length > payload.length) return undefined
      at = prefix.start + prefix.length
      const frame = decodeFrame(payload.subarray(prefix.start, at))
      if (frame.type === 'error' && REFUSALS.has(frame.code)) words.push(`${frame.code}: ${frame.message}`)
      else if (frame.type === 'goaway') words.push(`goaway: ${frame.reason}`)
      else if (frame.type === 'accept' || frame.type === 'pong' || frame.type === 'credit') words.push(frame.type)
      else if (direction === 'inbound' && frame.type === 'hello') words.push('hello')
      else if (direction === 'inbound' && frame.type === 'cancel') words.push(`cancel: ${frame.reason}`)
      else if (direction === 'inbound' && frame.type === 'open' && isHello(frame.body)) words.push('a proof of its own')
      else return undefined
    }
    return words
  } catch {
    return undefined
  }
}

/** 48 random-looking bytes and nothing beside them. */
function isHello(body: unknown): boolean {
  decodeMemberHello(body)
  return (
    Object.keys(body as object)
      .sort()
      .join() === 'n,p'
  )
}
