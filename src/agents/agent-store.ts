import type { JsonValue } from '../core/invoke.ts'

/** Where agents keep documents: JSON by name, whole or not at all. Writes of one name keep their order. */
export interface AgentStore {
  /** All documents of an agent; those that are damaged are left out. Rejects with MeshError if they cannot be read. */
  read(agent: string): Promise<Map<string, JsonValue>>
  /** Resolves when it is kept; undefined takes it away. Rejects with MeshError if it cannot be. */
  write(agent: string, name: string, document: JsonValue | undefined): Promise<void>
}

/** A store that is gone with the process. */
export function createPassingStore(): AgentStore {
  const agents = new Map<string, Map<string, string>>()
  return {
    async read(agent) {
      const kept = agents.get(agent) ?? new Map<string, string>()
      return new Map([...kept].map(([name, json]) => [name, JSON.parse(json) as JsonValue]))
    },
    async write(agent, name, document) {
      const kept = agents.get(agent) ?? new Map<string, string>()
      agents.set(agent, kept)
      // As text: nobody changes afterwards what was kept.
      if (document === undefined) kept.delete(name)
      else kept.set(name, JSON.stringify(document))
    }
  }
}
