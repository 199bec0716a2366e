/** One process of the suite `bulk`: `serve <rival>` or `connect <rival> <address>`. */
import { answerParent, cpuUs } from './answer.ts'
import type { Peer } from './answer.ts'
import type { Serving } from './rival.ts'

/** A way of streaming bytes from one process to another. */
export interface BulkRival {
  serve(chunkBytes: number): Promise<Serving>
  connect(address: string): Promise<{
    /** Resolves with the bytes that came, when all have. */
    read(bytes: number): Promise<number>
    stop(): Promise<void>
  }>
}

/** What a client may be asked. */
export interface BulkRequest {
  do: 'read'
  bytes: number
}

/** What it answers. */
export interface BulkSample {
  elapsedMs: number
  cpuUs: number
}

const CHUNK_BYTES = 64 * 1024

const LOAD: Record<string, () => Promise<BulkRival>> = {
  atmo: async () => (await import('./rivals/atmo-bulk.ts')).atmoBulk,
  libp2pTls: async () => (await import('./rivals/libp2p-bulk.ts')).libp2pBulk('tls'),
  libp2pNoise: async () => (await import('./rivals/libp2p-bulk.ts')).libp2pBulk('noise')
}

await answerParent(async (): Promise<Peer<BulkRequest>> => {
  const [role, name = '', address = ''] = process.argv.slice(2)
  const rival = await LOAD[name]?.()
  if (rival === undefined) throw new Error(`no rival named ${name}`)
  if (role === 'serve') {
    const serving = await rival.serve(CHUNK_BYTES)
    const answer = async (): Promise<never> => Promise.reject(new Error('a server reads nothing'))
    return { ready: { address: serving.address }, answer, stop: () => serving.stop() }
  }
  const client = await rival.connect(address)
  return {
    ready: {},
    async answer({ bytes }): Promise<BulkSample> {
      const cpuBefore = cpuUs()
      const start = performance.now()
      const received = await client.read(bytes)
      if (received !== bytes) throw new Error(`${received} of ${bytes} bytes came`)
      return { elapsedMs: performance.now() - start, cpuUs: cpuUs() - cpuBefore }
    },
    stop: () => client.stop()
  }
})
