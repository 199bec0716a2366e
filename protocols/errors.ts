/**
 * The error codes of the mesh, as data. A code is part of the wire contract: it may be added, never renamed.
 * `retryable` says whether the same call may succeed at another provider (or later at this one);
 * a caller's mistake is never retryable.
 */
export const ERROR_CODES = {
  invalid_argument: { retryable: false, httpStatus: 400, meaning: 'The input does not match the schema, or an option is wrong.' },
  invalid_config: { retryable: false, httpStatus: 400, meaning: 'The configuration file or an option of the node is wrong.' },
  permission_denied: { retryable: false, httpStatus: 403, meaning: 'The caller may not do this.' },
  unknown_capability: { retryable: false, httpStatus: 404, meaning: 'No node of the mesh offers this capability.' },
  unknown_tool: { retryable: false, httpStatus: 404, meaning: 'The capability exists, but has no tool of this name.' },
  unknown_trigger: { retryable: false, httpStatus: 404, meaning: 'The capability exists, but declares no trigger of this name.' },
  not_found: { retryable: false, httpStatus: 404, meaning: 'There is nothing of this id at this node (any more).' },
  ambiguous: { retryable: false, httpStatus: 409, meaning: 'The name fits several different things; say which one.' },
  conflict: { retryable: false, httpStatus: 409, meaning: 'The name or the resource is taken.' },
  too_large: { retryable: false, httpStatus: 413, meaning: 'A message, an input or a table is over its limit.' },
  busy: { retryable: true, httpStatus: 429, meaning: 'The provider has no free slot and its queue is full.' },
  cancelled: { retryable: false, httpStatus: 499, meaning: 'The caller cancelled.' },
  tool_failed: { retryable: false, httpStatus: 500, meaning: 'The tool ran and reported a failure.' },
  internal: { retryable: false, httpStatus: 500, meaning: 'A fault of the node itself.' },
  unsupported: { retryable: false, httpStatus: 501, meaning: 'The peer does not speak this protocol or option.' },
  protocol_error: { retryable: true, httpStatus: 502, meaning: 'The peer broke the wire contract.' },
  unavailable: { retryable: true, httpStatus: 503, meaning: 'The provider cannot be reached, is stopping, or died.' },
  deadline_exceeded: { retryable: false, httpStatus: 504, meaning: 'The time given for the call is over.' }
} as const

/** A code of {@link ERROR_CODES}. */
export type ErrorCode = keyof typeof ERROR_CODES

/** Extra facts of an error, JSON only. */
export type ErrorDetails = Record<string, unknown>

/** The one error class of the project. `code` discriminates; `message` is for people and says what to do. */
export class MeshError extends Error {
  override readonly name = 'MeshError'
  readonly code: ErrorCode
  readonly details: ErrorDetails
  readonly #forOthers: string | undefined

  /** @param options `forOthers`: the message for other nodes, where `message` names what is none of their business. */
  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, options?: ErrorOptions & { forOthers?: string }) {
    super(message, options)
    this.code = code
    this.details = details
    this.#forOthers = options?.forOthers
  }

  /** What other nodes are told: `message`, unless that is for the owner of this node alone. */
  get forOthers(): string {
    return this.#forOthers ?? this.message
  }

  /** Whether the same call may succeed at another provider. */
  get retryable(): boolean {
    return ERROR_CODES[this.code].retryable
  }
}

/** True for a code that this version knows. A newer peer may send others. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_CODES, code)
}

/** True for a {@link MeshError}, of the given code if one is given. */
export function isMeshError(error: unknown, code?: ErrorCode): error is MeshError {
  return error instanceof MeshError && (code === undefined || error.code === code)
}
