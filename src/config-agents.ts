/** What a schema cannot see in the agents of a configuration. */
import type { DeclaredAgent } from './agents/agent-config.ts'
import { backendId, duplicates, schemaProblems } from './config-backends.ts'
import type { BackendConfig } from './backends/index.ts'
import type { ConfigProblem } from './config-problems.ts'

/** Ids and events of one name, an id that a backend has, schemas that cannot be used. */
export function agentProblems(agents: readonly DeclaredAgent[], backends: readonly BackendConfig[]): ConfigProblem[] {
  const ids = agents.map(({ id }) => id)
  const taken = backends.map(backendId)
  return [
    ...duplicates(ids, (index, first, id) => ({
      path: ['agents', index, 'id'],
      message: `'${id}' is the id of agents[${first}] already`
    })),
    ...ids.flatMap((id, index) => {
      const at = taken.indexOf(id)
      return at < 0 ? [] : [{ path: ['agents', index, 'id'], message: `'${id}' is the id of backends[${at}] already` }]
    }),
    ...agents.flatMap(({ triggers = [] }, index) => triggerProblems(triggers, ['agents', index, 'triggers']))
  ]
}

function triggerProblems(triggers: NonNullable<DeclaredAgent['triggers']>, at: (string | number)[]): ConfigProblem[] {
  const names = triggers.map(({ event }) => event)
  return [
    ...duplicates(names, (index, first, name) => ({
      path: [...at, index, 'event'],
      message: `'${name}' is the event of triggers[${first}] already; rename one`
    })),
    ...triggers.flatMap(({ payload }, index) => schemaProblems(payload, [...at, index, 'payload']))
  ]
}
