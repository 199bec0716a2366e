import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { usageError } from './command-line.ts'

/** Where a code may come from. */
export interface CodeSource {
  /** `-` is standard input. */
  argument: string | undefined
  file: string | undefined
  /** Name of an environment variable, used if there is neither. */
  variable?: string
}

/** Reads the code that a command is given. @throws wrong usage. */
export async function readCode({ argument, file, variable }: CodeSource): Promise<string> {
  if (argument !== undefined && file !== undefined) throw usageError('name the code or a file with it, not both')
  if (file !== undefined) {
    return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw usageError(`cannot read ${file} (${error.code ?? error.message})`)
    })
  }
  if (argument === '-') return text(process.stdin)
  const code = argument ?? (variable === undefined ? undefined : process.env[variable])
  const also = variable === undefined ? '' : `in $${variable}, `
  if (!code) throw usageError(`which code? Give it as argument, with --file, ${also}or - for standard input`)
  return code
}
