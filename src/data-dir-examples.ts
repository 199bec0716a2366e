/** What a node has learned of what words mean, in its data directory: `examples.json`, mode 0600. Node only. */
import { readFile, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { MAX_EXAMPLE_CHARS, MAX_LEARNED, type LearnedExample } from './core/meaning/learned-examples.ts'
import { absentOr, writeAtomic } from './data-dir-files.ts'
import type { ExampleStore } from './mesh-meaning-examples.ts'

const EXAMPLES_FILE = 'examples.json'
/** Where a file goes that cannot be read. */
const DAMAGED_FILE = 'examples.damaged.json'
const FORMAT = 1
/** What is larger was not written by us: all that is kept takes less, in JSON. */
const MAX_FILE_BYTES = 64 * 1024 * 1024

/** Reads the examples of a data directory, and keeps them there. @param onTrouble told in a sentence what is wrong. Never rejects. */
export async function openExampleFile(dir: string, onTrouble: (message: string) => void): Promise<ExampleStore> {
  const path = join(dir, EXAMPLES_FILE)
  let writing = Promise.resolve()
  const write = async (examples: readonly LearnedExample[]): Promise<void> => {
    try {
      await writeAtomic(path, `${JSON.stringify({ format: FORMAT, examples })}\n`)
    } catch (error) {
      onTrouble(`cannot write ${path} (${codeOf(error)}): what was learned is forgotten at the next start`)
    }
  }
  return {
    initial: await read(dir, path, onTrouble),
    save: (examples) => (writing = writing.then(() => write(examples)))
  }
}

async function read(dir: string, path: string, onTrouble: (message: string) => void): Promise<LearnedExample[]> {
  try {
    const found = await stat(path).catch(absentOr)
    if (found === undefined) return []
    if (found.size > MAX_FILE_BYTES) throw new Error('it is far too large')
    return parse(await readFile(path, 'utf8'))
  } catch (error) {
    const aside = join(dir, DAMAGED_FILE)
    const moved = await rename(path, aside).then(
      () => `; it is now ${aside}`,
      () => ''
    )
    onTrouble(`cannot read the learned examples in ${path} (${codeOf(error)})${moved}: what words mean is learned anew`)
    return []
  }
}

function parse(text: string): LearnedExample[] {
  const { format, examples } = (JSON.parse(text) ?? {}) as Record<string, unknown>
  if (format !== FORMAT || !Array.isArray(examples) || examples.length > MAX_LEARNED || !examples.every(isExample))
    throw new Error('it holds something else')
  return examples
}

function isExample(value: unknown): value is LearnedExample {
  if (typeof value !== 'object' || value === null) return false
  const { capability, type, text } = value as Record<string, unknown>
  return [capability, type, text].every((one) => typeof one === 'string' && one !== '' && one.length <= MAX_EXAMPLE_CHARS)
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).message
}
