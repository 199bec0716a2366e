/** `@libp2p/webrtc` for `/webrtc-direct` addresses. Node only, optional, and loaded by {@link loadWebRtc} alone: it brings native code. */
import type { webRTCDirect, TransportCertificate } from '@libp2p/webrtc'
import { MeshError } from '../errors.ts'
import { boundWebRtc, type WebRtcLimits } from './node-webrtc-bounds.ts'
import { explainListen } from './node-webrtc-listen.ts'
import { loadNative, type NativeWebRtc } from './node-webrtc-native.ts'

/** What WebRTC is as a package; as in `package.json`. */
export const WEBRTC_PACKAGE = '@libp2p/webrtc@6.0.33'

/** A transport factory for libp2p, as `webRTCDirect()` gives it. */
export type WebRtcFactory = ReturnType<typeof webRTCDirect>

/** WebRTC for a node. @param limits what is asked before anything is kept of who sends a packet. */
export type NodeWebRtc = (limits: WebRtcLimits) => WebRtcFactory

/** The package, and what is used of the native library beneath it. */
interface WebRtcPackages {
  webRTCDirect: typeof webRTCDirect
  native: NativeWebRtc
}

/** True for an address that only WebRTC can listen on or dial. */
export function isWebRtcAddress(address: string): boolean {
  return address.split('/').includes('webrtc-direct')
}

/** Loads WebRTC. @param certificate what its addresses name by hash; default: a new one. @throws MeshError `unavailable`, which says what to do. */
export async function loadWebRtc(
  certificate?: TransportCertificate,
  load: () => Promise<WebRtcPackages> = loadPackages
): Promise<NodeWebRtc> {
  const { webRTCDirect, native } = await load().catch((error: unknown) => {
    throw unloadable(error)
  })
  silence(native)
  // Its defaults name STUN servers of others, which would be told of every connection.
  const options = { rtcConfiguration: { iceServers: [] }, ...(certificate !== undefined && { certificate }) }
  return (limits) => explainListen(boundWebRtc(webRTCDirect(options), limits))
}

/**
 * Until its first connection, libjuice (of node-datachannel 0.33.4) writes a line to the standard output of the process for every packet that is not well formed.
 * This one connects to nothing. Neither `initLogger` nor `cleanup` of node-datachannel: after the first the process does not end, the second may crash it.
 */
function silence({ PeerConnection }: NativeWebRtc): void {
  const connection = new PeerConnection('silence', { iceServers: [], disableAutoNegotiation: true, disableAutoGathering: true })
  const channel = connection.createDataChannel('')
  // What nobody hears closing keeps the process from ending until it is garbage; the same is true of a channel that is left open.
  connection.onStateChange(() => undefined)
  channel.onClosed(() => undefined)
  connection.setLocalDescription('offer')
  channel.close()
  connection.close()
}

async function loadPackages(): Promise<WebRtcPackages> {
  const native = loadNative()
  const { webRTCDirect } = await import('@libp2p/webrtc')
  return { webRTCDirect, native }
}

function unloadable(error: unknown): MeshError {
  if (error instanceof MeshError) return error
  const reason = (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? ''
  const missing = (error as NodeJS.ErrnoException | undefined)?.code === 'ERR_MODULE_NOT_FOUND'
  return new MeshError(
    'unavailable',
    missing
      ? `addresses with /webrtc-direct need WebRTC, which is optional and not installed; run: npm install ${WEBRTC_PACKAGE}, or leave these addresses out`
      : `addresses with /webrtc-direct need WebRTC, whose native part does not load here (${reason}); install ${WEBRTC_PACKAGE} anew with its optional dependencies, or leave these addresses out`,
    { package: WEBRTC_PACKAGE },
    { cause: error }
  )
}
