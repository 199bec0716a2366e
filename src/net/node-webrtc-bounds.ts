/**
 * Bounds on what a host may make a node keep over WebRTC before it has proved anything. Node only.
 * As of @libp2p/webrtc 6.0.33 one STUN packet, whose sender may be forged, makes a peer connection of native code that lives for ten
 * seconds, and as many as come: libp2p's own limits begin after DTLS and noise. A connection may open any number of channels, and a
 * message that is announced with up to 4 MiB is waited for on each.
 */
import type { AbortOptions, Listener, StreamMuxerFactory, Transport, Upgrader } from '@libp2p/interface'
import { createTokenBuckets } from '../core/token-buckets.ts'
import { MeshError } from '../errors.ts'
import { boundMuxer } from './webrtc-guard.ts'

/** A handshake (ICE, DTLS, noise) that takes longer is given up, in ms. */
export const WEBRTC_HANDSHAKE_WITHIN_MS = 5_000
/** Handshakes at once; the oldest is given up for a new one, since forged packets cost their sender nothing. */
export const MAX_WEBRTC_HANDSHAKES = 64
/** Handshakes that are begun, of all hosts together; packets beyond are dropped. */
export const WEBRTC_HANDSHAKES = { perSecond: 64, burst: 64 } as const
/** Of these, one host has half. */
export const WEBRTC_HANDSHAKES_OF_HOST = { perSecond: 32, burst: 32 } as const

/** What is asked before anything is kept of who sends a packet. */
export interface WebRtcLimits {
  turnsAway(address: string): boolean
  /** Connections and handshakes of a listener at most. */
  maxConnections: number
}

/** Makes a transport, as libp2p's configuration takes them. */
type TransportFactory<C> = (components: C) => Transport

/** What is used of libp2p's listener beyond its interface; checked before use, since it may change. */
interface ListenerInternals {
  components: { upgrader: { createInboundAbortSignal(signal: AbortSignal): AbortSignal & { clear(): void } } }
  connections: Map<string, unknown>
  incomingConnection(ufrag: string, host: string, port: number, signal: AbortSignal): Promise<void>
}

/** A WebRTC transport within bounds. @throws MeshError `internal`, when it listens, if the listener is not what it was. */
export function boundWebRtc<C>(create: TransportFactory<C>, limits: WebRtcLimits): TransportFactory<C> {
  return (components) => {
    const transport = create(components)
    const dial = transport.dial.bind(transport)
    transport.dial = (address, options) => dial(address, { ...options, upgrader: boundingStreams(options.upgrader) })
    const createListener = transport.createListener.bind(transport)
    transport.createListener = (options) =>
      boundHandshakes(createListener({ ...options, upgrader: boundingStreams(options.upgrader) }), limits)
    return transport
  }
}

function boundHandshakes(listener: Listener, { turnsAway, maxConnections }: WebRtcLimits): Listener {
  const { connections, components, incomingConnection } = listener as Listener & Partial<ListenerInternals>
  if (!(connections instanceof Map) || typeof components?.upgrader !== 'object' || typeof incomingConnection !== 'function')
    throw new MeshError('internal', 'this version of @libp2p/webrtc has another listener; it cannot be bounded')
  const now = (): number => performance.now()
  const [all, ofHost] = [createTokenBuckets(WEBRTC_HANDSHAKES, now), createTokenBuckets(WEBRTC_HANDSHAKES_OF_HOST, now)]
  /** The oldest first. */
  const pending = new Map<string, AbortController>()

  // For every packet libp2p would make a signal with a timer of its own, which stays for ten seconds.
  const upgrader = { createInboundAbortSignal: (signal: AbortSignal) => Object.assign(signal, { clear: () => undefined }) }
  return Object.assign(listener, {
    components: Object.create(components, { upgrader: { value: upgrader } }) as object,
    async incomingConnection(ufrag: string, host: string, port: number, signal: AbortSignal): Promise<void> {
      const key = `${host}:${port}:${ufrag}`
      if (signal.aborted || pending.has(key) || connections.has(key) || connections.size >= maxConnections) return
      if (turnsAway(`/ip${host.includes(':') ? 6 : 4}/${host}/udp/${port}`) || !ofHost.take(host) || !all.take('')) return
      if (pending.size >= MAX_WEBRTC_HANDSHAKES)
        pending.values().next().value?.abort(new Error('a newer handshake took its place'))
      const controller = new AbortController()
      const timer = setTimeout(() => controller.abort(new Error('the handshake took too long')), WEBRTC_HANDSHAKE_WITHIN_MS)
      timer.unref()
      pending.set(key, controller)
      const stop = (): void => controller.abort(signal.reason)
      signal.addEventListener('abort', stop)
      try {
        await incomingConnection.call(listener, ufrag, host, port, controller.signal)
      } finally {
        signal.removeEventListener('abort', stop)
        clearTimeout(timer)
        pending.delete(key)
      }
    }
  })
}

/** The connections that pass this upgrader have bounded streams. */
function boundingStreams(upgrader: Upgrader): Upgrader {
  const bounded = <O extends AbortOptions & { muxerFactory?: StreamMuxerFactory }>(options: O): O =>
    options.muxerFactory === undefined ? options : { ...options, muxerFactory: boundMuxer(options.muxerFactory) }
  return new Proxy(upgrader, {
    get(target, key) {
      if (key === 'upgradeOutbound')
        return (...[connection, options]: Parameters<Upgrader['upgradeOutbound']>) =>
          target.upgradeOutbound(connection, bounded(options))
      if (key === 'upgradeInbound')
        return (...[connection, options]: Parameters<Upgrader['upgradeInbound']>) =>
          target.upgradeInbound(connection, bounded(options))
      const value = Reflect.get(target, key) as unknown
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    }
  })
}
