import { MeshError, isMeshError } from '../protocols/errors.ts'

export { ERROR_CODES, MeshError, isErrorCode, isMeshError } from '../protocols/errors.ts'
export type { ErrorCode, ErrorDetails } from '../protocols/errors.ts'

/**
 * The one place where foreign errors become {@link MeshError}: abort reasons become `cancelled` or
 * `deadline_exceeded`, everything else `internal` with the foreign error as its cause.
 */
export function toMeshError(error: unknown): MeshError {
  if (isMeshError(error)) return error
  const name = error instanceof Error ? error.name : ''
  if (name === 'AbortError') return new MeshError('cancelled', 'the operation was cancelled', {}, { cause: error })
  if (name === 'TimeoutError')
    return new MeshError('deadline_exceeded', 'the time given for the operation is over', {}, { cause: error })
  const system = systemError(error)
  if (system !== undefined) return new MeshError('unavailable', system, {}, { cause: error })
  const message = error instanceof Error ? error.message : String(error)
  return new MeshError('internal', message, {}, { cause: error })
}

/**
 * True if nothing of what was asked for was done, as who failed says: the mesh had not begun it (`details.notStarted`), or a backend could not hand it to its server
 * (`details.notDone`). What must not be done twice may be asked for again.
 */
export function isUndone({ details }: MeshError): boolean {
  return details['notStarted'] === true || details['notDone'] === true
}

/** `details.reason` where a session ended because the other side stops, as it had said. */
export const PEER_STOPPED = 'peer_stopped'

/** What a person can do about it, by the code of Node's system errors. */
const SYSTEM_ERRORS: Record<string, string> = {
  ENOSPC: 'the disk is full; make room and try again',
  EDQUOT: 'the quota of this user on the disk is used up; make room and try again',
  EROFS: 'the file system is read-only',
  EACCES: 'this user may not; run it as the user that it belongs to, or name another --data-dir',
  EPERM: 'this user may not; run it as the user that it belongs to, or name another --data-dir',
  EISDIR: 'it is a directory, and should be a file; move it away',
  ENOTDIR: 'part of its path is no directory',
  EMFILE: 'this process has too many open files; raise its limit (ulimit -n)'
}

function systemError(error: unknown): string | undefined {
  const { code, path, syscall } = (error ?? {}) as { code?: string; path?: string; syscall?: string }
  const advice = typeof code === 'string' && syscall !== undefined ? SYSTEM_ERRORS[code] : undefined
  return advice === undefined ? undefined : `${path === undefined ? syscall : `cannot ${syscall} ${path}`}: ${advice} (${code})`
}

/** The error that an aborted signal stands for; `cancelled` unless its reason is a MeshError or a timeout. */
export function abortError({ reason }: AbortSignal): MeshError {
  const mesh = toMeshError(reason ?? new DOMException('aborted', 'AbortError'))
  // Who aborts gives whatever reason he likes, such as the server whose client has gone: nothing has failed here.
  return mesh.code !== 'internal' || isMeshError(reason) ? mesh : new MeshError('cancelled', mesh.message, {}, { cause: reason })
}

/** JSON form of an error: what the CLI, the local API and the wire show. Never a stack, never a cause. */
export function errorToJson(error: unknown): { code: string; message: string; details: Record<string, unknown> } {
  const mesh = toMeshError(error)
  return { code: mesh.code, message: mesh.message, details: mesh.details }
}
