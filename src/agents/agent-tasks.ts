import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { JsonValue } from '../core/invoke.ts'
import { MeshError } from '../errors.ts'
import type { AgentStore } from './agent-store.ts'
import type { ReceivedEvent } from './intent.ts'
import { readTask, type AgentTask } from './task.ts'

/** Intents that are over, kept of each agent to look at. */
export const MAX_KEPT_TASKS = 32
/** Events that an agent has accepted and not done; past it the answer is `busy`. */
export const MAX_ACCEPTED_TASKS = 64
/** Longest event that an agent takes, in characters of its JSON: what it works on, and what it did last, is in memory and kept. */
export const MAX_EVENT_CHARACTERS = 256 * 1024
const PREFIX = 'task-'

/** The intents of one agent: those that are to be done, and the last ones that are over. */
export interface AgentTasks {
  get(id: string): AgentTask | undefined
  /** The newest first. */
  all(): AgentTask[]
  /** Events that are not over. */
  readonly pending: AgentTask[]
  /** Keeps one; of those that are over the oldest go. Rejects with what the disk says. */
  save(task: AgentTask): Promise<void>
  /** Forgets all. */
  clear(): Promise<void>
}

/** @param documents all that is kept of the agent. */
export function createAgentTasks(agent: string, documents: ReadonlyMap<string, JsonValue>, store: AgentStore): AgentTasks {
  const read = [...documents].filter(([name]) => name.startsWith(PREFIX)).flatMap(([, document]) => readTask(document) ?? [])
  const tasks = new Map(read.sort((a, b) => (a.at < b.at ? -1 : 1)).map((task) => [task.id, task]))

  async function remove(id: string): Promise<void> {
    tasks.delete(id)
    await store.write(agent, `${PREFIX}${id}`, undefined)
  }

  return {
    get: (id) => tasks.get(id),
    all: () => [...tasks.values()].reverse(),
    get pending() {
      return [...tasks.values()].filter((task) => task.intent.kind === 'event' && !isOver(task))
    },
    async save(task) {
      tasks.set(task.id, task)
      await store.write(agent, `${PREFIX}${task.id}`, task as unknown as JsonValue)
      const over = [...tasks.values()].filter(isOver)
      await Promise.all(over.slice(0, Math.max(0, over.length - MAX_KEPT_TASKS)).map(({ id }) => remove(id)))
    },
    clear: async () => void (await Promise.all([...tasks.keys()].map(remove)))
  }
}

/** @throws MeshError `too_large`, for good. */
export function checkEvent(event: ReceivedEvent): void {
  const characters = JSON.stringify(event).length
  if (characters <= MAX_EVENT_CHARACTERS) return
  const message = `an agent takes events of ${MAX_EVENT_CHARACTERS} characters, this one has ${characters}`
  throw new MeshError('too_large', message, { characters, limit: MAX_EVENT_CHARACTERS })
}

/** The same event is the same task, however often it is delivered. */
export function taskIdOf({ node, id }: ReceivedEvent): string {
  return `event-${bytesToHex(sha256(utf8ToBytes(`${node} ${id}`))).slice(0, 32)}`
}

function isOver({ state }: AgentTask): boolean {
  return state === 'done' || state === 'failed'
}
