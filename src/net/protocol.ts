import type { IncomingExchange } from './inbound-exchanges.ts'

/** A protocol of the mesh, as data: its libp2p id and the generator that answers one exchange of it. */
export interface Protocol {
  /** `/atmosphere/<name>/<major>` */
  id: string
  /** An exchange that a peer opened is ended with `deadline_exceeded` after this time, in ms. Default: no limit. */
  timeoutMs?: number
  /** It also runs over circuits, which other nodes pass on. Default: only with neighbours. */
  overCircuits?: boolean
  /** Yields item bodies, returns the end body. `peer` is the verified PeerId of the other side. */
  handle(exchange: IncomingExchange, peer: string): AsyncGenerator<unknown, unknown, void>
}
