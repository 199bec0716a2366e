import '../../../src/net/node20-shims.ts'
import type { Libp2p, Stream } from '@libp2p/interface'
import type { BulkRival } from '../bulk-peer.ts'

const PROTOCOL = '/bench/bulk/1'
const REQUEST_BYTES = 8

// libp2p comes in lazily: on Node 20 the shims must be in place before it.
async function start(encryption: 'tls' | 'noise'): Promise<Libp2p> {
  const [{ createLibp2p }, { tcp }, { yamux }] = await Promise.all([
    import('libp2p'),
    import('@libp2p/tcp'),
    import('@libp2p/yamux')
  ])
  const encrypter = encryption === 'tls' ? (await import('@libp2p/tls')).tls() : (await import('@libp2p/noise')).noise()
  return createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [encrypter],
    streamMuxers: [yamux()]
  })
}

/** `onDrain()` of libp2p 3 works once only; the event is what holds. */
function drained(stream: Stream): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (then: () => void) => (): void => {
      stream.removeEventListener('drain', onDrain)
      stream.removeEventListener('close', onClose)
      then()
    }
    const onDrain = settle(resolve)
    const onClose = settle(() => reject(new Error('the stream closed')))
    stream.addEventListener('drain', onDrain)
    stream.addEventListener('close', onClose)
  })
}

async function sendBytes(stream: Stream, bytes: number, chunk: Uint8Array): Promise<void> {
  for (let left = bytes; left > 0; left -= chunk.length) {
    if (!stream.send(left >= chunk.length ? chunk : chunk.subarray(0, left))) await drained(stream)
  }
}

/** libp2p's own stream with its defaults, one stream for all reads: no frames, no items, nothing checked. */
export function libp2pBulk(encryption: 'tls' | 'noise'): BulkRival {
  return {
    async serve(chunkBytes) {
      const node = await start(encryption)
      const chunk = new Uint8Array(chunkBytes).fill(7)
      await node.handle(PROTOCOL, (stream) => {
        stream.addEventListener('message', ({ data }) => {
          const bytes = new DataView(data.subarray().buffer, data.subarray().byteOffset).getFloat64(0)
          sendBytes(stream, bytes, chunk).catch(() => stream.abort(new Error('stopped')))
        })
      })
      return { address: JSON.stringify(node.getMultiaddrs()), stop: async () => node.stop() }
    },
    async connect(address) {
      const node = await start(encryption)
      const { multiaddr } = await import('@multiformats/multiaddr')
      const connection = await node.dial((JSON.parse(address) as string[]).map((text) => multiaddr(text)))
      const stream = await connection.newStream(PROTOCOL)
      let received = 0
      let wanted = Infinity
      let done = (): void => {}
      stream.addEventListener('message', ({ data }) => {
        received += data.byteLength
        if (received >= wanted) done()
      })
      return {
        read(bytes) {
          received = 0
          wanted = bytes
          const request = new Uint8Array(REQUEST_BYTES)
          new DataView(request.buffer).setFloat64(0, bytes)
          return new Promise((resolve) => {
            done = () => resolve(received)
            stream.send(request)
          })
        },
        stop: async () => node.stop()
      }
    }
  }
}
