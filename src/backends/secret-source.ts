/** Where secrets come from: a variable of the environment, or a file. Errors name these, never what is in them. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { MeshError } from '../errors.ts'

/** Largest file with a secret or a certificate, in bytes. */
export const MAX_SECRET_BYTES = 256 * 1024

/** What secrets are found with. */
export interface SecretInit {
  /** Folder that relative paths start from. */
  baseDir: string
  /** Default: variables of the process. */
  env?: Record<string, string | undefined>
  /** What is wrong with them, where nobody else is to see it. */
  log?: (level: 'warn', message: string) => void
}

/** What a variable holds. Throws `unavailable` if it is not set. */
export function secretVariable(name: string, { env = process.env }: Pick<SecretInit, 'env'>): string {
  const value = env[name]
  if (value === undefined || value === '')
    throw new MeshError('unavailable', `the variable ${name} is not set; set it, and start the node again`)
  return value
}

/** What a file holds. Throws `unavailable` if it cannot be read, or is too large. */
export async function secretFile(path: string, { baseDir }: Pick<SecretInit, 'baseDir'>): Promise<Buffer> {
  const bytes = await readFile(resolve(baseDir, path)).catch((error: NodeJS.ErrnoException) => {
    throw new MeshError('unavailable', `cannot read the file "${path}" (${error.code}); create it, or change its path`)
  })
  if (bytes.length > MAX_SECRET_BYTES) throw new MeshError('unavailable', `the file "${path}" is over ${MAX_SECRET_BYTES} bytes`)
  return bytes
}

/** A text from the one of the two that is named, without blanks around it; undefined if neither is. Read anew each time. Throws `unavailable`. */
export async function readSecret(
  { variable, file }: { variable: string | undefined; file: string | undefined },
  init: SecretInit
): Promise<string | undefined> {
  if (file === undefined && variable === undefined) return undefined
  const secret = (file === undefined ? secretVariable(variable!, init) : (await secretFile(file, init)).toString()).trim()
  if (secret !== '') return secret
  const where = file === undefined ? `the variable ${variable}` : `the file "${file}"`
  throw new MeshError('unavailable', `${where} holds nothing but blanks; put the secret there`)
}
