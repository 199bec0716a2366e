/** What is used of the optional package, so that everything also compiles where it is not installed. */
declare module '@libp2p/webrtc' {
  import type { Transport } from '@libp2p/interface'

  /** PEM, and the hash of the certificate as it stands in addresses. */
  export interface TransportCertificate {
    privateKey: string
    pem: string
    certhash: string
  }

  /** A transport factory for libp2p. */
  export function webRTCDirect(init: {
    rtcConfiguration: { iceServers: readonly never[] }
    certificate?: TransportCertificate
  }): (components: object) => Transport
}
