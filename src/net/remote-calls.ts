import { peerIdFromString } from '@libp2p/peer-id'
import type { Libp2p } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { Invoke } from '../core/invoke.ts'
import { MeshError, abortError } from '../errors.ts'
import { callOver, createCallProtocol } from './call.ts'
import { parseIpMultiaddr, withPeerId } from './ip-multiaddr.ts'
import type { Session } from './session.ts'
import { createSessions } from './sessions.ts'

/** A dial that a call waits for takes at most this long, in ms. */
export const CALL_DIAL_TIMEOUT_MS = 2_000

/** A provider elsewhere, as far as reaching it goes. */
export interface RemoteProvider {
  /** PeerId. */
  node: string
  nodeName: string
  /** A session is open. */
  direct: boolean
}

/** Calls to and from other nodes. */
export interface RemoteCalls {
  start(): Promise<void>
  /** Lets what runs finish, then closes the sessions. */
  stop(): Promise<void>
  /** Calls a provider over its session; dials it first if need be. */
  at(provider: RemoteProvider): Invoke
}

/** What remote calls need. */
export interface RemoteCallsComponents {
  libp2p: Pick<Libp2p, 'handle' | 'unhandle' | 'getConnections' | 'dial'>
  /** Runs the calls that arrive. */
  provider: Invoke
  now: () => number
  onFault: (peer: string, error: MeshError) => void
  /** Addresses that a node announces. */
  addressesOf: (peer: string) => string[]
}

/** See {@link RemoteCalls}. */
export function createRemoteCalls({ libp2p, provider, now, onFault, addressesOf }: RemoteCallsComponents): RemoteCalls {
  const sessions = createSessions({ libp2p, now, onFault }, createCallProtocol(provider))

  async function connect(remote: RemoteProvider): Promise<Session> {
    if (!remote.direct) await dial(remote)
    return sessions.get(remote.node)
  }

  async function dial({ node, nodeName }: RemoteProvider): Promise<void> {
    try {
      // What an announcement calls an address may be anything: only plain ones of that node are dialled.
      const addresses = addressesOf(node).flatMap((address) =>
        parseIpMultiaddr(address) === undefined ? [] : (withPeerId(address, node) ?? [])
      )
      const target = addresses.length > 0 ? addresses.map((address) => multiaddr(address)) : peerIdFromString(node)
      await libp2p.dial(target, { signal: AbortSignal.timeout(CALL_DIAL_TIMEOUT_MS) })
    } catch (error) {
      const message = `cannot reach ${nodeName} (${node}): ${(error as Error).message}`
      throw new MeshError('unavailable', message, { peer: node }, { cause: error })
    }
  }

  return {
    start: () => sessions.start(),
    stop: () => sessions.stop(),
    at(remote) {
      const session = sessions.peek(remote.node)
      if (session !== undefined) return callOver(session)
      return async function* (request, options) {
        yield* callOver(await unlessAborted(options.signal, connect(remote)))(request, options)
      }
    }
  }
}

/** What `wait` resolves with, unless the signal aborts first. @throws MeshError that the signal stands for. */
async function unlessAborted<T>(signal: AbortSignal, wait: Promise<T>): Promise<T> {
  let onAbort!: () => void
  const aborted = new Promise<never>((_, reject) => (onAbort = () => reject(abortError(signal))))
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([wait, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
