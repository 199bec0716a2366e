/** The one place where errors become HTTP answers. */
import { ERROR_CODES, MeshError, errorToJson, toMeshError } from '../errors.ts'
import { PROGRAM } from '../version.ts'

/** Why a request is refused before it reaches the mesh, with the status that the table of codes cannot know. */
export interface HttpRefusal {
  status: number
  headers?: Record<string, string>
}

/** Longest time in `Retry-After`, in ms: errors of other nodes name any. */
const MAX_RETRY_AFTER_MS = 86_400_000

const refusals = new WeakMap<MeshError, HttpRefusal>()

/** A {@link MeshError} that is answered with another HTTP status than its code has in the table. */
export function refusal(http: HttpRefusal, ...error: ConstructorParameters<typeof MeshError>): MeshError {
  const refused = new MeshError(...error)
  refusals.set(refused, http)
  return refused
}

/** Answers an error as `{"error":{"code","message","details"}}`, with the HTTP status of its code, and `Retry-After` if it says when the same may go well. */
export function errorResponse(error: unknown): Response {
  const mesh = toMeshError(error)
  const { status, headers } = refusals.get(mesh) ?? { status: ERROR_CODES[mesh.code].httpStatus }
  return Response.json({ error: errorToJson(mesh) }, { status, headers: { server: PROGRAM, ...retryAfter(mesh), ...headers } })
}

function retryAfter({ retryable, details: { retryAfterMs } }: MeshError): Record<string, string> {
  if (!retryable || !Number.isFinite(retryAfterMs) || (retryAfterMs as number) < 0) return {}
  return { 'retry-after': String(Math.ceil(Math.min(MAX_RETRY_AFTER_MS, retryAfterMs as number) / 1_000)) }
}
