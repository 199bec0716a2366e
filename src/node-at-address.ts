/** Whether what answers at an address of this machine is a node. Node only. */
import { ProbeError, createProbe } from './backends/local-ai-probe.ts'
import { isLoopbackHost } from './http/api-address.ts'
import { VERSION } from './version.ts'

/** Told to whoever is asked. */
const USER_AGENT = `atmosphere/${VERSION} (looks whether this is a node)`

/**
 * Makes a check of addresses, by what answers there and never by the port: each answer of the local API of a node says so. Only of this machine, so that nobody else learns of it, and of an address
 * only the host and port are used: the rest may be a secret. What does not answer is none.
 * @param signal the check rejects with what it aborts with.
 */
export function createNodeCheck(signal: AbortSignal): (url: string) => Promise<boolean> {
  const asked = new Map<string, Promise<boolean>>()
  return async (url) => {
    const origin = originHere(url)
    if (origin === undefined) return false
    const before = asked.get(origin) ?? ask(origin, signal)
    asked.set(origin, before)
    return before
  }
}

function originHere(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined
  const { protocol, hostname, origin } = new URL(url)
  return /^https?:$/.test(protocol) && isLoopbackHost(hostname.replace(/^\[(.*)\]$/, '$1')) ? origin : undefined
}

async function ask(url: string, signal: AbortSignal): Promise<boolean> {
  try {
    await createProbe({ url, memory: new Map(), userAgent: USER_AGENT, signal }).get('/health')
    return false
  } catch (error) {
    if (error instanceof ProbeError) return error.fault === 'a node'
    throw error
  }
}
