/** The native library beneath `@libp2p/webrtc` (node-datachannel), and what it would never give back. Node only. */
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { MeshError } from '../errors.ts'

/** What is used of node-datachannel. */
export interface NativeWebRtc {
  PeerConnection: new (name: string, config: object) => NativeConnection
}
/** A peer connection of native code. */
export interface NativeConnection {
  onStateChange(listener: () => void): void
  onDataChannel(listener: (channel: NativeChannel) => void): void
  createDataChannel(label: string, options?: object): NativeChannel
  setLocalDescription(type: 'offer'): void
  close(): void
}
/** A data channel of native code. */
export interface NativeChannel {
  onClosed(listener: () => void): void
  close(): void
}

/**
 * Loads it from where it is a dependency. Before `@libp2p/webrtc` is imported, which takes its classes as they are then.
 * As of node-datachannel 0.33.4 a channel that is closed from both sides at once may not say that it has closed. Native code then holds
 * on to who listens for that, and with it to the channel, all streams of the connection and the connection, for ever; a stranger who
 * comes and goes gets there once in some hundred connections. Here it holds on to nothing, and what is lost is garbage.
 * @throws MeshError `internal`, if it is not what it was; what `require` throws, if it is not there.
 */
export function loadNative(): NativeWebRtc {
  const require = createRequire(import.meta.resolve('@libp2p/webrtc'))
  const binding = join(dirname(require.resolve('node-datachannel')), 'node-datachannel.cjs')
  const { default: native } = require(binding) as { default?: Partial<NativeWebRtc> }
  if (typeof native?.PeerConnection !== 'function')
    throw new MeshError('internal', 'this version of node-datachannel has another binding; what it holds cannot be bounded')
  if (!replaced.has(native.PeerConnection)) replaced.add((native.PeerConnection = forgetful(native.PeerConnection)))
  return native as NativeWebRtc
}

/** Classes that stand in place of the native one. */
const replaced = new WeakSet<NativeWebRtc['PeerConnection']>()

function forgetful(native: NativeWebRtc['PeerConnection']): NativeWebRtc['PeerConnection'] {
  return new Proxy(native, {
    construct(target, [name, config]: [string, object]) {
      const connection = new target(name, config)
      const { onDataChannel, createDataChannel } = connection
      // Native methods cannot be assigned to.
      return Object.defineProperties(connection, {
        onDataChannel: {
          value(listener: (channel: NativeChannel) => void) {
            onDataChannel.call(connection, (channel) => listener(heardWeakly(channel)))
          }
        },
        createDataChannel: {
          value: (label: string, options: object = {}) => heardWeakly(createDataChannel.call(connection, label, options))
        }
      })
    }
  })
}

/** Who listens lives as long as the channel. */
const listeners = new WeakMap<NativeChannel, () => void>()

function heardWeakly(channel: NativeChannel): NativeChannel {
  const { onClosed } = channel
  return Object.defineProperty(channel, 'onClosed', {
    value(listener: () => void) {
      listeners.set(channel, listener)
      onClosed.call(channel, hear(new WeakRef(listener)))
    }
  })
}

/** A function of its own: one that is made where the channel can be seen would hold it. */
const hear = (listener: WeakRef<() => void>) => (): void => listener.deref()?.()
