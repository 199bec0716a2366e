import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { JsonValue } from '../core/invoke.ts'
import { MeshError } from '../errors.ts'
import type { AgentStore } from './agent-store.ts'
import type { ReceivedEvent } from './intent.ts'
import { readTask, type AgentTask } from './task.ts'

/** Intents that are over, kept of each agent to look at: so many that it was asked, and so many events. */
export const MAX_KEPT_TASKS = 32
/** Events that an agent has accepted and not done; past it the answer is `busy`. */
export const MAX_ACCEPTED_TASKS = 64
/** Longest event that an agent takes, in characters of its JSON: what it works on, and what it did last, is in memory and kept. */
export const MAX_EVENT_CHARACTERS = 256 * 1024
/** Events that are `interrupted`, kept so that they go on where they were; past it the oldest of the node that has sent most of them go. */
export const MAX_UNFINISHED_TASKS = 64
/** They are kept for so long, in ms: no event comes again later. */
export const UNFINISHED_MS = 86_400_000
/** Events that are done, remembered after their records have gone. */
export const MAX_DONE_IDS = 1_024
const PREFIX = 'task-'
const DONE = 'done'

/** The intents of one agent: those that it works on, those that may go on, and the last ones that are over. */
export interface AgentTasks {
  get(id: string): AgentTask | undefined
  /** The newest first. */
  all(): AgentTask[]
  /** True for an event that is done, on disk, also if its record has gone. */
  isDone(id: string): boolean
  /** Has one among `all` that is kept when it is over. */
  show(task: AgentTask): void
  /** Keeps one, which is among `all` from then on; what is too much goes. Rejects with what the disk says. */
  save(task: AgentTask): Promise<void>
  /** Forgets all. Rejects with what the disk says. */
  clear(): Promise<void>
}

/** What they need. */
export interface AgentTasksInit {
  agent: string
  /** All that is kept of the agent. */
  documents: ReadonlyMap<string, JsonValue>
  store: AgentStore
  /** ISO 8601. */
  date(): string
  /** Told of records that are not whole, and are left out. */
  onDamaged(count: number): void
}

/** @param init see {@link AgentTasksInit}. */
export function createAgentTasks({ agent, documents, store, date, onDamaged }: AgentTasksInit): AgentTasks {
  const names = [...documents.keys()].filter((name) => name.startsWith(PREFIX))
  const read = names.flatMap((name) => {
    const task = readTask(documents.get(name)!)
    return task !== undefined && name === `${PREFIX}${task.id}` ? [task] : []
  })
  if (read.length < names.length) onDamaged(names.length - read.length)
  const tasks = new Map(read.sort((a, b) => (a.at < b.at ? -1 : 1)).map((task) => [task.id, task]))
  const done = new Set(readIds(documents.get(DONE)))
  /** Those of which the disk does not have the last. */
  const unsaved = new Set<string>()

  const erase = (ids: readonly string[]): Promise<unknown> =>
    Promise.all(ids.map((id) => store.write(agent, `${PREFIX}${id}`, undefined)))

  /** Out of memory in any case. What stays on disk goes after the next start. */
  async function remove(ids: readonly string[]): Promise<void> {
    const settled = ids.filter(isDone)
    const others = ids.filter((id) => !isDone(id))
    for (const id of settled) done.add(id)
    for (const id of done) if (done.size > MAX_DONE_IDS) done.delete(id)
    for (const id of ids) tasks.delete(id)
    for (const id of ids) unsaved.delete(id)
    // That they are done before the records that say so go.
    const noted = settled.length === 0 ? undefined : store.write(agent, DONE, [...done]).then(() => erase(settled))
    await Promise.allSettled([erase(others), noted])
  }

  function isDone(id: string): boolean {
    const task = tasks.get(id)
    return done.has(id) || (task?.intent.kind === 'event' && task.state === 'done' && !unsaved.has(id))
  }

  async function makeRoom(): Promise<void> {
    const all = [...tasks.values()]
    const isOver = ({ state, id }: AgentTask): boolean => state === 'failed' || (state === 'done' && !unsaved.has(id))
    const over = all.filter(isOver)
    const [asked, events] = [over.filter(isAsk), over.filter((task) => !isAsk(task))]
    const oldest = [asked, events].flatMap((some) => some.slice(0, Math.max(0, some.length - MAX_KEPT_TASKS)))
    const tooMany = [...oldest, ...unfinishedToGo(all.filter((task) => isOpen(task) && !isOver(task)))]
    if (tooMany.length > 0) await remove(tooMany.map(({ id }) => id))
  }

  function unfinishedToGo(all: readonly AgentTask[]): AgentTask[] {
    const since = Date.parse(date()) - UNFINISHED_MS
    const [stale, left] = [all.filter(({ at }) => Date.parse(at) < since), all.filter(({ at }) => Date.parse(at) >= since)]
    while (left.length > MAX_UNFINISHED_TASKS) {
      const count = new Map<string, number>()
      for (const task of left) count.set(sourceOf(task), (count.get(sourceOf(task)) ?? 0) + 1)
      const most = Math.max(...count.values())
      stale.push(
        ...left.splice(
          left.findIndex((task) => count.get(sourceOf(task)) === most),
          1
        )
      )
    }
    return stale
  }

  return {
    get: (id) => tasks.get(id),
    all: () => [...tasks.values()].reverse(),
    isDone,
    show: (task) => void tasks.set(task.id, task),
    async save(task) {
      const { id } = task
      if (tasks.get(id) === task) unsaved.add(id)
      try {
        await store.write(agent, `${PREFIX}${id}`, task as unknown as JsonValue)
        // Only what is on disk is there when the event is delivered again.
        tasks.set(id, task)
        unsaved.delete(id)
      } finally {
        if (isAsk(task)) unsaved.delete(id)
        await makeRoom()
      }
    },
    async clear() {
      const all = new Set([...names, ...[...tasks.keys()].map((id) => `${PREFIX}${id}`), DONE])
      tasks.clear()
      done.clear()
      unsaved.clear()
      await Promise.all([...all].map((name) => store.write(agent, name, undefined)))
    }
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

/** Nobody works on it. */
function isOpen({ state }: AgentTask): boolean {
  return state !== 'accepted' && state !== 'running'
}

function isAsk({ intent }: AgentTask): boolean {
  return intent.kind === 'ask'
}

function sourceOf({ intent }: AgentTask): string {
  return intent.kind === 'event' ? intent.event.node : ''
}

function readIds(document: JsonValue | undefined): string[] {
  return Array.isArray(document) ? document.filter((id) => typeof id === 'string').slice(-MAX_DONE_IDS) : []
}
