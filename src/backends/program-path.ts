/** Finds programs the way the system would, without starting them. */
import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'

/** Why a program cannot be started, or undefined if it can. */
export async function programProblem(program: string, options: { cwd: string; path: string }): Promise<string | undefined> {
  const folder = await stat(options.cwd).catch(() => undefined)
  if (folder?.isDirectory() !== true) return `folder "${options.cwd}" to run in does not exist; create it or change cwd`
  if (program.includes('/')) {
    return (await isExecutable(resolve(options.cwd, program))) ? undefined : `program "${program}" is not there or not executable`
  }
  for (const entry of options.path.split(delimiter)) {
    // An empty entry means the current folder; a program found there by accident is not what the owner configured.
    if (entry !== '' && (await isExecutable(join(entry, program)))) return undefined
  }
  return `program "${program}" is not on PATH; install it, or give its full path`
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}
