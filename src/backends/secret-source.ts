/** Where secrets come from: a variable of the environment, or a file. Errors name these, never what is in them. */
import { constants, open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { announcedReason } from '../core/announced-reason.ts'
import { MeshError } from '../errors.ts'

/** Largest file with a secret or a certificate, in bytes. */
export const MAX_SECRET_BYTES = 256 * 1024

/** Bit of a mode: others than the owner and its group may read. */
const OTHERS_READ = 0o004

/** What secrets are found with. */
export interface SecretInit {
  /** Folder that relative paths start from. */
  baseDir: string
  /** Default: variables of the process. */
  env?: Record<string, string | undefined>
  /** What is wrong with them, where nobody else is to see it. */
  log?: (level: 'warn', message: string) => void
}

/** Callers at other nodes hear no names of variables and files. */
function unavailable(message: string): MeshError {
  return new MeshError('unavailable', message, {}, { forOthers: announcedReason(message) })
}

/** What a variable holds. Throws `unavailable` if it is not set. */
export function secretVariable(name: string, { env = process.env }: Pick<SecretInit, 'env'>): string {
  const value = env[name]
  if (value === undefined || value === '') throw unavailable(`the variable ${name} is not set; set it, and start the node again`)
  return value
}

/** Of whom has been told already, by who is told: secrets are read again and again. */
const told = new WeakMap<object, Set<string>>()

/** What a file with a secret holds. Whom others of the machine may read is told to the log, once. Throws `unavailable` if it cannot be read, is none, or is too large. */
export async function secretFile(path: string, { baseDir, log }: Pick<SecretInit, 'baseDir' | 'log'>): Promise<Buffer> {
  const { bytes, mode } = await read(path, baseDir)
  // Windows has other ways to say so.
  if (log === undefined || (mode & OTHERS_READ) === 0 || process.platform === 'win32') return bytes
  const paths = told.get(log) ?? new Set()
  told.set(log, paths)
  if (!paths.has(path)) log('warn', `every user of this machine may read the secret in "${path}"; chmod 600 keeps it`)
  paths.add(path)
  return bytes
}

/** What a file with a certificate holds, which everybody may read. Throws as {@link secretFile}. */
export async function certificateFile(path: string, { baseDir }: Pick<SecretInit, 'baseDir'>): Promise<Buffer> {
  return (await read(path, baseDir)).bytes
}

/** Not more than may be kept, whatever stands there. */
async function read(path: string, baseDir: string): Promise<{ bytes: Buffer; mode: number }> {
  try {
    // A pipe that nobody writes to would not be opened otherwise.
    const file = await open(resolve(baseDir, path), constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    try {
      const stat = await file.stat()
      if (!stat.isFile()) throw unavailable(`the file "${path}" is no file; name one that holds the secret`)
      if (stat.size > MAX_SECRET_BYTES) throw unavailable(`the file "${path}" is over ${MAX_SECRET_BYTES} bytes`)
      // What is written meanwhile is not read.
      const { buffer, bytesRead } = await file.read(Buffer.alloc(stat.size), 0, stat.size, 0)
      return { bytes: buffer.subarray(0, bytesRead), mode: stat.mode }
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof MeshError) throw error
    throw unavailable(`cannot read the file "${path}" (${(error as NodeJS.ErrnoException).code}); create it, or change its path`)
  }
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
  throw unavailable(`${where} holds nothing but blanks; put the secret there`)
}
