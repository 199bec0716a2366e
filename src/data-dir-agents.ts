/** What agents keep in a data directory: `agents/<id>/<name>.json`, mode 0600. Node only. */
import { mkdir, readFile, readdir, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { AgentStore } from './agents/agent-store.ts'
import type { JsonValue } from './core/invoke.ts'
import { absentOr, writeAtomic } from './data-dir-files.ts'
import { MeshError, toMeshError } from './errors.ts'

const AGENTS_DIR = 'agents'
const SUFFIX = '.json'
/** What is larger was not written by us: the longest transcript takes less. */
const MAX_DOCUMENT_BYTES = 8 * 1024 * 1024

/**
 * Opens the store of a data directory. Whatever is asked of an agent whose id does not begin with a letter or a digit rejects with `invalid_argument`.
 * @param onTrouble told in a sentence of a file that holds something else than it should; it is set aside. What cannot be read at all rejects.
 */
export function openAgentStore(dataDir: string, onTrouble: (message: string) => void): AgentStore {
  const root = join(dataDir, AGENTS_DIR)
  const writing = new Map<string, Promise<void>>()
  // A colon is no character for names on Windows.
  const dirOf = (agent: string): string => {
    if (/^[A-Za-z0-9]/.test(agent)) return join(root, encodeURIComponent(agent))
    throw new MeshError('invalid_argument', `"${agent}" is no id of an agent: it begins with no letter or digit`, { agent })
  }

  async function readDocument(path: string): Promise<JsonValue | undefined> {
    const size = (await stat(path).catch(absentOr))?.size
    if (size === undefined) return undefined
    const fault = size > MAX_DOCUMENT_BYTES ? 'it is far too large' : undefined
    try {
      if (fault === undefined) return JSON.parse(await readFile(path, 'utf8')) as JsonValue
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
    }
    await rename(path, `${path}.damaged`)
    onTrouble(`cannot read ${path} (${fault ?? 'it is no JSON'}): the agent goes on without it`)
    return undefined
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
      try {
        for (const file of (await readdir(dir).catch(absentOr)) ?? []) {
          if (!file.endsWith(SUFFIX)) continue
          const document = await readDocument(join(dir, file))
          if (document !== undefined) documents.set(file.slice(0, -SUFFIX.length), document)
        }
      } catch (error) {
        throw toMeshError(error)
      }
      return documents
    },
    async write(agent, name, document) {
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
