import type { AbortOptions, Logger } from '@libp2p/interface'
import { AbstractMultiaddrConnection } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import { Uint8ArrayList } from 'uint8arraylist'
import { MAX_FORWARD_BYTES } from '../../protocols/forward/messages.ts'
import { abortError, toMeshError, type MeshError } from '../errors.ts'

/** Bytes that wait to be sent, past which libp2p is told to wait. */
export const WRITE_HIGH_WATER_BYTES = 256 * 1024

/** What a connection over an exchange is made of. */
export interface ExchangeConnectionInit {
  remoteAddr: Multiaddr
  direction: 'inbound' | 'outbound'
  log: Logger
}

/**
 * What libp2p upgrades to a connection where there is no socket: bytes that come and go as items of an exchange. Both ends encrypt and
 * multiplex on top of it, so whoever passes the items on sees neither.
 */
export class ExchangeConnection extends AbstractMultiaddrConnection {
  #waiting = new Uint8ArrayList()
  #isOver = false
  #wakeWriter: (() => void) | undefined
  #wakeReader: (() => void) | undefined
  /** All that was to be sent has left, or will not. */
  #hasLeft = false
  #wakeCloser: (() => void) | undefined

  constructor(init: ExchangeConnectionInit) {
    super(init)
  }

  /** What is to be sent, as bodies of items; ends with the connection. Small writes leave together. */
  async *outgoing(): AsyncGenerator<Uint8Array, void, void> {
    try {
      for (;;) {
        while (this.#waiting.byteLength > 0) {
          const size = Math.min(MAX_FORWARD_BYTES, this.#waiting.byteLength)
          const bytes = this.#waiting.slice(0, size)
          this.#waiting.consume(size)
          if (this.writableNeedsDrain && this.#waiting.byteLength < WRITE_HIGH_WATER_BYTES / 2) this.safeDispatchEvent('drain')
          yield bytes
        }
        if (this.#isOver) return
        await new Promise<void>((resolve) => (this.#wakeWriter = resolve))
      }
    } finally {
      this.#left()
    }
  }

  /** Takes what the other end sends until it ends; a reader that is behind is waited for. Never rejects. */
  async take(incoming: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const bytes of incoming) {
        if (!this.#isThere) return
        this.onData(new Uint8ArrayList(bytes))
        // What libp2p has undone by itself does not count: it may pause in the very message that its resuming brings.
        while (this.readStatus === 'paused' && this.#isThere) await new Promise<void>((resolve) => (this.#wakeReader = resolve))
      }
      this.lost(undefined)
    } catch (error) {
      this.lost(toMeshError(error))
    }
  }

  /** There is nothing below any more. */
  lost(error: MeshError | undefined): void {
    const isClosed = this.status === 'closing' && this.#hasLeft
    if (this.#isThere) this.onTransportClosed(isClosed ? undefined : error)
    this.#end()
    this.#left()
  }

  sendData(data: Uint8ArrayList): { sentBytes: number; canSendMore: boolean } {
    const sentBytes = data.byteLength
    this.#waiting.append(data)
    this.#wake()
    return { sentBytes, canSendMore: this.#waiting.byteLength < WRITE_HIGH_WATER_BYTES }
  }

  /** Resolves when all has left. @throws MeshError that the signal stands for. */
  async sendClose({ signal }: AbortOptions = {}): Promise<void> {
    this.#end()
    if (this.#hasLeft) return
    await new Promise<void>((resolve, reject) => {
      this.#wakeCloser = resolve
      const onAbort = (): void => reject(abortError(signal!))
      if (signal?.aborted === true) onAbort()
      else signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  sendReset(): void {
    this.#waiting = new Uint8ArrayList()
    this.#end()
    this.#left()
  }

  sendPause(): void {}

  sendResume(): void {
    this.#wakeReader?.()
  }

  get #isThere(): boolean {
    return this.status === 'open' || this.status === 'closing'
  }

  #left(): void {
    this.#hasLeft = true
    this.#wakeCloser?.()
  }

  #end(): void {
    this.#isOver = true
    this.#wake()
    this.#wakeReader?.()
  }

  #wake(): void {
    const wake = this.#wakeWriter
    this.#wakeWriter = undefined
    wake?.()
  }
}
