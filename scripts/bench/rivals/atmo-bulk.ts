import type { BulkRival } from '../bulk-peer.ts'
import { createNode, found, START } from './atmo.ts'

/** A streamed call: the tool yields chunks, the caller iterates them. */
export const atmoBulk: BulkRival = {
  async serve(chunkBytes) {
    const mesh = await createNode({ ...START, name: 'bulk-server' })
    const chunk = new Uint8Array(chunkBytes).fill(7)
    const input = { type: 'object', properties: { bytes: { type: 'integer' } }, required: ['bytes'] }
    mesh.register(
      { id: 'bulk', type: 'bench/bulk', tools: [{ name: 'read', input, streams: true, timeoutMs: 120_000 }] },
      {
        async *read(params) {
          for (let left = params['bytes'] as number; left > 0; left -= chunk.length) {
            yield left >= chunk.length ? chunk : chunk.subarray(0, left)
          }
        }
      }
    )
    return { address: JSON.stringify(mesh.multiaddrs()), stop: () => mesh.stop() }
  },
  async connect(address) {
    const mesh = await createNode({ ...START, name: 'bulk-client', peers: JSON.parse(address) as string[] })
    await found(mesh, 'bulk')
    return {
      async read(bytes) {
        let received = 0
        for await (const item of mesh.call('bulk', 'read', { bytes })) {
          if (item.kind === 'bytes') received += item.bytes.length
        }
        return received
      },
      stop: () => mesh.stop()
    }
  }
}
