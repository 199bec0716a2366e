/** What a schema cannot see in the backends of a configuration. */
import type { JsonSchema } from '../protocols/json.ts'
import { compileArguments } from './backends/command-arguments.ts'
import type { CommandConfig, CommandToolConfig } from './backends/command-config.ts'
import type { BackendConfig } from './backends/index.ts'
import { chatCapabilityId } from './backends/openai-config.ts'
import type { ConfigProblem } from './config-problems.ts'
import { checkSchema } from './core/schema.ts'

/** Id of a backend: its own, else its kind. */
export function backendId(config: BackendConfig): string {
  if (config.kind === 'openai-chat') return chatCapabilityId(config)
  return 'id' in config && config.id !== undefined ? config.id : config.kind
}

/** Ids and tools of one name, placeholders without a property, schemas that cannot be used. */
export function backendProblems(backends: readonly BackendConfig[]): ConfigProblem[] {
  const ids = duplicates(backends.map(backendId), (index, first, id) => ({
    path: ['backends', index, 'id'],
    message: `'${id}' is the id of backends[${first}] already`
  }))
  const commands = backends.flatMap((backend, index) =>
    backend.kind === 'command' ? commandProblems(backend, ['backends', index]) : []
  )
  return [...ids, ...commands]
}

function commandProblems({ tools = [], triggers = [] }: CommandConfig, at: (string | number)[]): ConfigProblem[] {
  const names = duplicates(
    tools.map(({ name }) => name),
    (index, first, name) => ({
      path: [...at, 'tools', index, 'name'],
      message: `'${name}' is the name of tools[${first}] already; rename one`
    })
  )
  return [
    ...names,
    ...tools.flatMap((tool, index) => toolProblems(tool, [...at, 'tools', index])),
    ...triggers.flatMap(({ payload }, index) => schemaProblems(payload, [...at, 'triggers', index, 'payload']))
  ]
}

function toolProblems(tool: CommandToolConfig, at: (string | number)[]): ConfigProblem[] {
  return [
    ...thrown(() => void compileArguments(tool), [...at, 'run']),
    ...schemaProblems(tool.input, [...at, 'input']),
    ...schemaProblems(tool.output, [...at, 'output'])
  ]
}

/** A schema that cannot be used. */
export function schemaProblems(schema: JsonSchema | undefined, path: (string | number)[]): ConfigProblem[] {
  return thrown(() => checkSchema(schema, `'${String(path.at(-1))}'`), path)
}

function thrown(check: () => void, path: (string | number)[]): ConfigProblem[] {
  try {
    check()
    return []
  } catch (error) {
    return [{ path, message: error instanceof Error ? error.message : String(error) }]
  }
}

/** Names that occur before. */
export function duplicates(
  names: readonly string[],
  problem: (index: number, first: number, name: string) => ConfigProblem
): ConfigProblem[] {
  return names.flatMap((name, index) => {
    const first = names.indexOf(name)
    return first < index ? [problem(index, first, name)] : []
  })
}
