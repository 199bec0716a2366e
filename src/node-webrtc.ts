import { loadWebRtcCertificate } from './data-dir-webrtc.ts'
import { isWebRtcAddress, loadWebRtc, type NodeWebRtc } from './net/node-webrtc.ts'

/** WebRTC if one of the addresses needs it, with the certificate of the data directory. @throws MeshError `unavailable` if it cannot be loaded. */
export async function webRtcFor(
  addresses: readonly string[],
  dataDir: string | undefined,
  onTrouble: (message: string) => void
): Promise<NodeWebRtc | undefined> {
  if (!addresses.some(isWebRtcAddress)) return undefined
  return loadWebRtc(await loadWebRtcCertificate(dataDir, onTrouble))
}
