import { loadWebRtcCertificate } from './data-dir-webrtc.ts'
import { toMeshError } from './errors.ts'
import { isWebRtcAddress, loadWebRtc, type NodeWebRtc } from './net/node-webrtc.ts'

/**
 * WebRTC if one of the addresses needs it, with the certificate of the data directory. @param remembered addresses that nobody asks for now: without
 * WebRTC they are of no use, and the node is as good as before. @throws MeshError `unavailable` if it cannot be loaded and one of `addresses` needs it.
 */
export async function webRtcFor(
  addresses: readonly string[],
  dataDir: string | undefined,
  onTrouble: (message: string) => void,
  remembered: readonly string[] = []
): Promise<NodeWebRtc | undefined> {
  const isNeeded = addresses.some(isWebRtcAddress)
  if (!isNeeded && !remembered.some(isWebRtcAddress)) return undefined
  try {
    return await loadWebRtc(await loadWebRtcCertificate(dataDir, onTrouble))
  } catch (error) {
    if (isNeeded) throw error
    onTrouble(`nodes that were reached over WebRTC before are not looked for there: ${toMeshError(error).message}`)
    return undefined
  }
}
