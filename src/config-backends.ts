/** What a schema cannot see in the backends of a configuration. */
import type { JsonSchema } from '../protocols/json.ts'
import { compileArguments } from './backends/command-arguments.ts'
import type { CommandConfig, CommandToolConfig } from './backends/command-config.ts'
import type { BackendConfig } from './backends/index.ts'
import { mqttProblems } from './backends/mqtt-topics.ts'
import type { ScheduleConfig } from './backends/schedule-config.ts'
import { compileTimes } from './backends/schedule-times.ts'
import { chatCapabilityId } from './backends/openai-config.ts'
import type { ConfigProblem } from './config-problems.ts'
import { checkSchema } from './core/schema.ts'

/** Id of a backend: its own, else its kind. */
export function backendId(config: BackendConfig): string {
  if (config.kind === 'openai-chat') return chatCapabilityId(config)
  if (config.kind === 'openai-image') return config.id ?? 'image'
  return 'id' in config && config.id !== undefined ? config.id : config.kind
}

/** Ids, tools and triggers of one name, placeholders without a property, schemas that cannot be used, times that cannot be. */
export function backendProblems(backends: readonly BackendConfig[]): ConfigProblem[] {
  const ids = duplicates(backends.map(backendId), (index, first, id) => ({
    path: ['backends', index, 'id'],
    message: `'${id}' is the id of backends[${first}] already`
  }))
  return [...ids, ...hookProblems(backends), ...backends.flatMap((backend, index) => problemsOfOne(backend, ['backends', index]))]
}

/** One name is one hook of the local API, whichever backend has it. */
function hookProblems(backends: readonly BackendConfig[]): ConfigProblem[] {
  const hooks = backends.flatMap((backend, index) =>
    backend.kind === 'webhook' ? (backend.in ?? []).map(({ hook }, n) => ({ hook, index, n })) : []
  )
  return duplicates(
    hooks.map(({ hook }) => hook),
    (at, first, hook) => ({
      path: ['backends', hooks[at]!.index, 'in', hooks[at]!.n, 'hook'],
      message: `'${hook}' is the hook of backends[${hooks[first]!.index}].in[${hooks[first]!.n}] already; rename one`
    })
  )
}

function problemsOfOne(backend: BackendConfig, at: (string | number)[]): ConfigProblem[] {
  switch (backend.kind) {
    case 'command':
      return commandProblems(backend, at)
    case 'schedule':
      return scheduleProblems(backend, at)
    case 'mqtt':
      return [
        ...eventProblems(backend.subscribe ?? [], [...at, 'subscribe']),
        ...mqttProblems(backend).map(({ path, message }) => ({ path: [...at, ...path], message }))
      ]
    case 'webhook':
      return [
        ...eventProblems(backend.in ?? [], [...at, 'in']),
        ...(backend.in ?? []).flatMap(({ payload }, index) => schemaProblems(payload, [...at, 'in', index, 'payload']))
      ]
    default:
      return []
  }
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

function scheduleProblems({ triggers, timeZone }: ScheduleConfig, at: (string | number)[]): ConfigProblem[] {
  return [
    ...eventProblems(triggers, [...at, 'triggers']),
    ...triggers.flatMap((trigger, index) =>
      thrown(
        () => void compileTimes(trigger, timeZone),
        [...at, 'triggers', index, trigger.cron === undefined ? 'every' : 'cron']
      )
    )
  ]
}

function eventProblems(triggers: readonly { event: string }[], at: (string | number)[]): ConfigProblem[] {
  return duplicates(
    triggers.map(({ event }) => event),
    (index, first, event) => ({
      path: [...at, index, 'event'],
      message: `'${event}' is the name of ${String(at.at(-1))}[${first}] already; rename one`
    })
  )
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
