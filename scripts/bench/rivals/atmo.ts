import type { Mesh } from '../../../src/mesh-api.ts'
import { builtEntry } from '../entry.ts'
import type { Rival } from '../rival.ts'

interface Start {
  name: string
  listen: string[]
  peers?: string[]
  mdns: boolean
}

/** What is measured is the built package, the code that users run: tsx wraps every closure and would make it slower. */
export async function createNode(start: Start): Promise<Mesh> {
  const entry = (await import(builtEntry())) as { createNode: (start: Start) => Promise<Mesh> }
  return entry.createNode(start)
}

/** Both ends: loopback only, and nothing that depends on the machine's network. */
export const START = { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, open: true }
const FOUND_WITHIN_MS = 10_000

/** Waits until a capability of the other node is known. */
export async function found(mesh: Mesh, capability: string): Promise<void> {
  const known = (): boolean => mesh.capabilities({ id: capability }).length > 0
  const over = new AbortController()
  const late = setTimeout(() => over.abort(), FOUND_WITHIN_MS)
  const events = mesh.events({ signal: over.signal })
  try {
    if (known()) return
    for await (const event of events) if (event.event === 'capability:available' && known()) return
    throw new Error(`the capability ${capability} was not announced within ${FOUND_WITHIN_MS} ms`)
  } finally {
    clearTimeout(late)
    over.abort()
  }
}

/** Two nodes of this project, as built: encrypted, authenticated, validated against a JSON Schema, with a deadline. */
export const atmo: Rival = {
  name: 'atmo',
  settings: 'two nodes, TLS over TCP, schema checked on both sides, deadline, failover armed',
  async serve() {
    const mesh = await createNode({ ...START, name: 'bench-server' })
    const input = { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] }
    mesh.register(
      { id: 'bench', type: 'bench/echo', tools: [{ name: 'echo', input, concurrency: 64 }] },
      { echo: (params) => params['text'] ?? null }
    )
    return { address: JSON.stringify(mesh.multiaddrs()), stop: () => mesh.stop() }
  },
  async connect(address) {
    const mesh = await createNode({ ...START, name: 'bench-client', peers: JSON.parse(address) as string[] })
    await found(mesh, 'bench')
    return {
      async call(text) {
        const { result } = await mesh.call('bench', 'echo', { text }).result
        return result as string
      },
      stop: () => mesh.stop()
    }
  }
}
