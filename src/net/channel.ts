import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { MAX_FRAME_BYTES } from '../../protocols/framing/messages.ts'
import { MeshError, isMeshError } from '../errors.ts'
import { createDefer, type Defer } from './defer.ts'
import { createFrameBuffer } from './frame-buffer.ts'
import { createSendQueue } from './send-queue.ts'
import { openWindow } from './yamux-window.ts'

/** Received bytes kept for a reader that is behind; past it the muxer is paused. A single larger frame may pass it. */
export const READ_HIGH_WATER_BYTES = 256 * 1024
/** A close waits this long for the remote's end before it resets the stream, in ms. */
export const CLOSE_TIMEOUT_MS = 2_000

/**
 * Frames over one libp2p stream, with real backpressure both ways. This is the only file that touches `Stream`;
 * it closes the five traps of libp2p 3 streams, each named where it is met and in test/unit/net/channel.spec.ts.
 */
export interface Channel {
  /** Queues a frame (with its length prefix); frames of one tick leave in few writes. Never blocks, never throws. */
  send(frame: Uint8Array): void
  /** True while senders of much need not wait: the stream takes what they send. */
  readonly writable: boolean
  /** Resolves when `writable`; rejects when the channel ends. */
  ready(): Promise<void>
  /** True while senders of a frame or two need not wait: the stream may be full for the moment, the queue is not. */
  readonly hasRoom: boolean
  /** Resolves when `hasRoom`; rejects when the channel ends. */
  room(): Promise<void>
  /** Batches of frames without prefix, in order. One reader. Slow reading pauses the remote. Ends when the remote closes; throws MeshError. */
  batches(): AsyncIterableIterator<Uint8Array[]>
  /** Sends what is queued, then closes. Never rejects. */
  close(): Promise<void>
  /** Resets the stream; what is queued is lost. */
  abort(error: MeshError): void
  /** Resolves, never rejects, with why the channel ended; undefined for a clean close. */
  readonly closed: Promise<MeshError | undefined>
  /** Bytes received and not yet taken by the reader. */
  readonly bufferedBytes: number
}

const defaultDefer: Defer = createDefer(globalThis)

/** Options of {@link createChannel}. */
export interface ChannelInit {
  maxFrameBytes?: number
  defer?: Defer
}

/** Takes over a stream whose protocol is negotiated. Nothing else may read or write it from then on. */
export function createChannel(stream: Stream, init: ChannelInit = {}): Channel {
  const maxFrameBytes = init.maxFrameBytes ?? MAX_FRAME_BYTES
  const defer = init.defer ?? defaultDefer

  let ended = false
  let endError: MeshError | undefined
  let resolveClosed!: (error: MeshError | undefined) => void
  const closed = new Promise<MeshError | undefined>((resolve) => (resolveClosed = resolve))

  const queue = createSendQueue({
    // Trap 2: onDrain() works once, so the answer of send() and the 'drain' event decide.
    write: (bytes) => stream.send(bytes),
    isHolding: () => stream.writableNeedsDrain || stream.writeBufferLength > 0,
    failed: (error) => abort(toChannelError(error)),
    defer
  })

  // ---- reading -------------------------------------------------------------------------------
  const received = createFrameBuffer(maxFrameBytes)
  let paused = false
  let remoteDone = false
  let wakeReader: (() => void) | undefined

  function onMessage(event: StreamMessageEvent): void {
    const bytes = event.data instanceof Uint8Array ? event.data : event.data.subarray()
    received.push(bytes)
    if (!paused && received.bytes >= Math.max(READ_HIGH_WATER_BYTES, received.needed)) {
      paused = true
      // Trap 3: pause() inside a 'message' listener is undone when the message came from resume(); do it after.
      queueMicrotask(() => {
        if (paused && !ended && stream.status === 'open') stream.pause()
      })
    }
    if (received.bytes >= received.needed) wakeReader?.()
  }

  function resumeIfDrained(): void {
    if (!paused || received.bytes >= Math.max(READ_HIGH_WATER_BYTES, received.needed)) return
    paused = false
    if (stream.readStatus === 'paused') stream.resume()
  }

  async function* batches(): AsyncIterableIterator<Uint8Array[]> {
    for (;;) {
      let frames: Uint8Array[]
      try {
        frames = received.take()
      } catch (error) {
        abort(toChannelError(error))
        throw error
      }
      resumeIfDrained()
      if (frames.length > 0) {
        yield frames
        continue
      }
      // resume() may have delivered what the paused stream still held.
      if (received.bytes >= received.needed) continue
      if (ended && endError !== undefined) throw endError
      if (ended || remoteDone) {
        if (received.bytes > 0) throw new MeshError('protocol_error', 'the peer closed the stream in the middle of a frame')
        return
      }
      await new Promise<void>((resolve) => (wakeReader = resolve))
      wakeReader = undefined
    }
  }

  // ---- ending --------------------------------------------------------------------------------
  function finish(error: MeshError | undefined): void {
    if (ended) return
    ended = true
    endError = error
    stream.removeEventListener('message', onMessage)
    stream.removeEventListener('drain', queue.drained)
    stream.removeEventListener('remoteCloseWrite', onRemoteDone)
    stream.removeEventListener('close', onClose)
    queue.end(error ?? gone())
    wakeReader?.()
    resolveClosed(error)
  }

  function onRemoteDone(): void {
    remoteDone = true
    wakeReader?.()
  }

  function onClose(event: StreamCloseEvent): void {
    finish(event.error === undefined ? undefined : toChannelError(event.error))
  }

  function abort(error: MeshError): void {
    if (ended) return
    finish(error)
    if (stream.status === 'open' || stream.status === 'closing') stream.abort(error)
  }

  async function close(): Promise<void> {
    if (ended) return
    const deadline = setTimeout(
      () => abort(new MeshError('unavailable', 'the peer did not close its end of the stream')),
      CLOSE_TIMEOUT_MS
    )
    try {
      // What a blocked stream has not taken yet is still to leave: the ends of the exchanges that were waited for.
      await queue.flushed()
      await stream.close({ signal: AbortSignal.timeout(CLOSE_TIMEOUT_MS) })
      await closed
    } catch {
      abort(gone())
    } finally {
      clearTimeout(deadline)
    }
  }

  openWindow(stream)
  // Trap 1: the stream's own iterator never pauses the muxer, so the events are read directly.
  stream.addEventListener('message', onMessage)
  stream.addEventListener('drain', queue.drained)
  stream.addEventListener('remoteCloseWrite', onRemoteDone)
  stream.addEventListener('close', onClose)
  if (stream.status !== 'open' && stream.status !== 'closing') finish(gone())
  else if (stream.remoteWriteStatus === 'closed') onRemoteDone()

  return {
    send: queue.send,
    ready: queue.ready,
    room: queue.room,
    batches,
    close,
    abort,
    closed,
    get writable() {
      return queue.writable
    },
    get hasRoom() {
      return queue.hasRoom
    },
    get bufferedBytes() {
      return received.bytes
    }
  }
}

function gone(): MeshError {
  return new MeshError('unavailable', 'the stream to the peer is closed')
}

/** Rejections of libp2p may be Events or plain errors: to a caller all of them mean that the peer is gone. */
function toChannelError(error: unknown): MeshError {
  if (isMeshError(error)) return error
  const message = error instanceof Error ? error.message : 'the stream was reset'
  return new MeshError('unavailable', `the stream to the peer ended: ${message}`, {}, { cause: error })
}
