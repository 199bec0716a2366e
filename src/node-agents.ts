/** The agents of a node that runs: those of its configuration, kept in its data directory. Node only. */
import { randomUUID } from 'node:crypto'
import type { DeclaredAgent } from './agents/agent-config.ts'
import { createAgents, type Agents } from './agents/agents.ts'
import { createDeclaredAgent } from './agents/declared-agent.ts'
import { openAgentStore } from './data-dir-agents.ts'
import type { Mesh } from './mesh-api.ts'

/** What {@link startAgents} needs. */
export interface NodeAgentsInit {
  mesh: Mesh
  /** Of the configuration. */
  agents: readonly DeclaredAgent[]
  /** Path of the data directory. */
  dataDir: string
  log?: ((level: 'info' | 'warn', message: string) => void) | undefined
}

/** Offers the agents of the configuration, each in the state that it was in. One that cannot be offered does not stop the others, nor the node. */
export async function startAgents({ mesh, agents: configs, dataDir, log }: NodeAgentsInit): Promise<Agents> {
  const warn = (message: string): void => log?.('warn', message)
  const agents = createAgents({
    mesh,
    store: openAgentStore(dataDir, warn),
    now: () => performance.now(),
    date: () => new Date().toISOString(),
    newId: () => `ask-${randomUUID()}`,
    log: (level, message) => log?.(level, message)
  })
  for (const config of configs) {
    try {
      await agents.add(createDeclaredAgent(config))
    } catch (error) {
      warn(`agent ${config.id} is not there: ${(error as Error).message}`)
    }
  }
  return agents
}
