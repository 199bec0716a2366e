/** What agents keep in a data directory: `agents/<id>/<name>.json`, mode 0600. Node only. */
import { mkdir, readFile, readdir, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { AgentStore } from './agents/agent-store.ts'
import type { JsonValue } from './core/invoke.ts'
import { absentOr, writeAtomic } from './data-dir-files.ts'
import { toMeshError } from './errors.ts'

const AGENTS_DIR = 'agents'
const SUFFIX = '.json'
/** What is larger was not written by us: the longest transcript takes less. */
const MAX_DOCUMENT_BYTES = 8 * 1024 * 1024

/** Opens the store of a data directory. @param onTrouble told in a sentence of a file that cannot be read; it is set aside. */
export function openAgentStore(dataDir: string, onTrouble: (message: string) => void): AgentStore {
  const root = join(dataDir, AGENTS_DIR)
  const writing = new Map<string, Promise<void>>()
  // A colon is no character for names on Windows.
  const dirOf = (agent: string): string => join(root, encodeURIComponent(agent))

  async function readDocument(path: string): Promise<JsonValue | undefined> {
    try {
      if ((await stat(path)).size > MAX_DOCUMENT_BYTES) throw new Error('it is far too large')
      return JSON.parse(await readFile(path, 'utf8')) as JsonValue
    } catch (error) {
      await rename(path, `${path}.damaged`).catch(() => undefined)
      onTrouble(
        `cannot read ${path} (${(error as NodeJS.ErrnoException).code ?? (error as Error).message}): the agent goes on without it`
      )
      return undefined
    }
  }

  async function writeDocument(agent: string, path: string, document: JsonValue | undefined): Promise<void> {
    try {
      if (document === undefined) return void (await unlink(path).catch(absentOr))
      for (const dir of [root, dirOf(agent)]) await mkdir(dir, { mode: 0o700 }).catch(unlessThere)
      await writeAtomic(path, `${JSON.stringify(document)}\n`)
    } catch (error) {
      throw toMeshError(error)
    }
  }

  return {
    async read(agent) {
      const documents = new Map<string, JsonValue>()
      const dir = dirOf(agent)
      for (const file of (await readdir(dir).catch(absentOr)) ?? []) {
        if (!file.endsWith(SUFFIX)) continue
        const document = await readDocument(join(dir, file))
        if (document !== undefined) documents.set(file.slice(0, -SUFFIX.length), document)
      }
      return documents
    },
    write(agent, name, document) {
      const path = join(dirOf(agent), `${name}${SUFFIX}`)
      const write = (): Promise<void> => writeDocument(agent, path, document)
      // One after the other, and each whatever became of the one before.
      const done = (writing.get(path) ?? Promise.resolve()).then(write, write)
      writing.set(path, done)
      const forget = (): void => void (writing.get(path) === done && writing.delete(path))
      done.then(forget, forget)
      return done
    }
  }
}

function unlessThere(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined
  throw error
}
