import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { CODE_PREFIX } from '../../protocols/join/code.ts'
import { TREATY_CODE_PREFIX } from '../../protocols/treaty/code.ts'
import { usageError } from './command-line.ts'

/** Where a code may come from. */
export interface CodeSource {
  /** Which one is wanted. */
  kind: 'invite' | 'treaty'
  /** `-` is standard input. */
  argument: string | undefined
  file: string | undefined
  /** Name of an environment variable, used if there is neither. */
  variable?: string
}

/** Reads the code that a command is given. @throws wrong usage, also for one of the other kind. */
export async function readCode(source: CodeSource): Promise<string> {
  const code = await read(source)
  // As in the codes themselves: any case, with blanks and dashes anywhere.
  const start = code.slice(0, 80).replace(/[\s-]/g, '').toUpperCase()
  if (source.kind === 'invite' && start.startsWith(TREATY_CODE_PREFIX))
    throw usageError('this is the code of a treaty, and no invite; an owner of a mesh takes it with: atmo treaty accept')
  if (source.kind === 'treaty' && start.startsWith(CODE_PREFIX))
    throw usageError('this is an invite, and no code of a treaty; the node that it is for takes it with: atmo join')
  return code
}

async function read({ argument, file, variable }: CodeSource): Promise<string> {
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
