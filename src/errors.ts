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
  const message = error instanceof Error ? error.message : String(error)
  return new MeshError('internal', message, {}, { cause: error })
}

/** The error that an aborted signal stands for; `cancelled` unless its reason says otherwise. */
export function abortError(signal: AbortSignal): MeshError {
  return toMeshError(signal.reason ?? new DOMException('aborted', 'AbortError'))
}

/** JSON form of an error: what the CLI, the local API and the wire show. Never a stack, never a cause. */
export function errorToJson(error: unknown): { code: string; message: string; details: Record<string, unknown> } {
  const mesh = toMeshError(error)
  return { code: mesh.code, message: mesh.message, details: mesh.details }
}
