import type { Libp2p } from '@libp2p/interface'
import type { Invoke } from '../core/invoke.ts'
import { untilAborted } from '../core/until-aborted.ts'
import type { MeshError } from '../errors.ts'
import { callOver, createCallProtocol } from './call.ts'
import { createReach, type ReachComponents } from './reach.ts'
import type { Session } from './session.ts'
import { createSessions } from './sessions.ts'

/** A provider elsewhere, as far as reaching it goes. */
export interface RemoteProvider {
  /** PeerId. */
  node: string
  /** A session is open. */
  direct: boolean
}

/** Calls to and from other nodes. */
export interface RemoteCalls {
  start(): Promise<void>
  /** Lets what runs finish, then closes the sessions. */
  stop(): Promise<void>
  /** Calls a provider over its session; brings about a connection first if need be, direct or over others. */
  at(provider: RemoteProvider): Invoke
  /** PeerIds from the first neighbour to the node, where calls to it go over others. */
  pathTo(node: string): readonly string[] | undefined
  /** A neighbour has come: it can be dialled again. */
  forgive(node: string): void
  /** Brings about a connection, direct or over others, for what else runs between nodes. @throws MeshError `unavailable`. */
  reach(node: string): Promise<void>
}

/** What remote calls need. */
export interface RemoteCallsComponents extends Omit<ReachComponents, 'overCircuit' | 'libp2p'> {
  /** What else runs over circuits. */
  alsoOver: ReachComponents['overCircuit']
  libp2p: Pick<Libp2p, 'handle' | 'unhandle' | 'getConnections' | 'dial'>
  /** Runs the calls that arrive. */
  provider: Invoke
  onFault: (peer: string, error: MeshError) => void
}

/** See {@link RemoteCalls}. */
export function createRemoteCalls(components: RemoteCallsComponents): RemoteCalls {
  const { libp2p, provider, now, onFault } = components
  const sessions = createSessions({ libp2p, now, onFault }, createCallProtocol(provider))
  const reach = createReach({
    ...components,
    overCircuit(node) {
      const [calls, other] = [sessions.overCircuit(node), components.alsoOver(node)]
      return calls === undefined || (calls.active === 0 && (other?.active ?? 0) > 0) ? (other ?? calls) : calls
    }
  })

  async function connect({ node, direct }: RemoteProvider): Promise<Session> {
    if (!direct && sessions.peek(node) === undefined) await reach.connect(node)
    try {
      const session = await sessions.get(node)
      if (sessions.overCircuit(node) === session) reach.greeted(node)
      return session
    } catch (error) {
      if (!components.isNeighbour(node)) reach.ungreeted(node)
      throw error
    }
  }

  return {
    start: () => sessions.start(),
    async stop() {
      reach.stop()
      await sessions.stop()
    },
    at(remote) {
      const session = sessions.ready(remote.node)
      if (session !== undefined) return callOver(session)
      return async function* (request, options) {
        yield* callOver(await untilAborted(connect(remote), options.signal))(request, options)
      }
    },
    // A circuit may be there for a while after it was needed.
    pathTo: (node) => (components.isNeighbour(node) ? undefined : reach.pathTo(node)),
    forgive: reach.forgive,
    reach: reach.connect
  }
}
