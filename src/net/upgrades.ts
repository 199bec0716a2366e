import type { ComponentLogger, Connection, Logger, Upgrader } from '@libp2p/interface'
import type { ExchangeConnection } from './exchange-connection.ts'

/** Making libp2p connections out of something that is no socket; a service of libp2p, since only those see its upgrader. */
export interface Upgrades {
  /** Answers; the connection is told as one that the other end has opened. Rejects if nothing comes of it. */
  inbound(connection: ExchangeConnection, signal: AbortSignal): Promise<void>
  /** Asks. Rejects if the other end is not who it is to be. */
  outbound(connection: ExchangeConnection, signal: AbortSignal): Promise<Connection>
  readonly log: Logger
}

/** What libp2p gives to a service that is used here. */
export interface UpgradeComponents {
  upgrader: Upgrader
  logger: ComponentLogger
}

/** Connections are limited: nothing runs on them but what says that it may. */
export function createUpgrades({ upgrader, logger }: UpgradeComponents): Upgrades {
  const limits = {}
  return {
    inbound: (connection, signal) => upgrader.upgradeInbound(connection, { signal, limits }),
    outbound: (connection, signal) => upgrader.upgradeOutbound(connection, { signal, limits }),
    log: logger.forComponent('atmosphere:circuit')
  }
}
