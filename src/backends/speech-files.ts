/** The folder in which speeches are kept: the newest so many. */
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError } from '../errors.ts'

const NAME = /^speech-[0-9]{17}-[0-9]+\.wav$/

/** See {@link createSpeechFiles}. */
export interface SpeechFiles {
  /** Keeps a file and gives its name within the folder. Throws `tool_failed` that says why it cannot. */
  keep(wav: Uint8Array): Promise<string>
}

/** Makes files in a folder, which is made as well if it is not there. */
export function createSpeechFiles(folder: string, init: { limit: number; now?: () => number }): SpeechFiles {
  const { now = Date.now } = init
  let count = 0
  return {
    async keep(wav) {
      const name = `speech-${new Date(now()).toISOString().replace(/\D/g, '')}-${count++}.wav`
      try {
        await mkdir(folder, { recursive: true })
        // Whole or not at all: others may watch this folder.
        await writeFile(join(folder, `.${name}`), wav)
        await rename(join(folder, `.${name}`), join(folder, name))
        const names = (await readdir(folder)).filter((one) => NAME.test(one)).sort(byAge)
        for (const old of names.slice(0, -init.limit)) await rm(join(folder, old), { force: true })
        return name
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        throw new MeshError('tool_failed', `the speech cannot be kept in its folder (${code})`, {}, { cause: error })
      }
    }
  }
}

function byAge(one: string, other: string): number {
  const [a, b] = [one, other].map((name) => name.split(/[-.]/))
  return (a?.[1] ?? '').localeCompare(b?.[1] ?? '') || Number(a?.[2]) - Number(b?.[2])
}
