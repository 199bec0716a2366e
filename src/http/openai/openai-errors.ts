/** Errors as the OpenAI API has them: https://platform.openai.com/docs/guides/error-codes/api-errors */
import type { MiddlewareHandler } from 'hono'
import { ERROR_CODES, MeshError, errorToJson, isErrorCode, type ErrorDetails } from '../../errors.ts'
import { refusal } from '../errors.ts'

/** What the routes of the OpenAI API find in their context. */
export interface OpenAiEnv {
  Variables: {
    /** Of this request: the trace id, 32 hex digits. */
    requestId: string
    /** W3C Trace Context of its calls. */
    traceparent: string
  }
}

/** The object in the body of an error. All keys are there. */
export interface OpenAiError {
  message: string
  type: string
  /** The field that is wrong, such as `messages[0].role`. */
  param: string | null
  code: string | null
}

/** Header with the id of a request, as the clients of OpenAI show it. */
export const REQUEST_ID = 'x-request-id'

/** A request that is refused. @param param the field that is wrong. */
export function refused(status: number, message: string, param: string | null, code: string | null = null): MeshError {
  return refusal({ status }, status >= 500 ? 'unavailable' : 'invalid_argument', message, { param, openAiCode: code })
}

/** A request with a wrong field. */
export function wrongField(param: string, expected: string): MeshError {
  return refused(400, `${param} must be ${expected}`, param, 'invalid_value')
}

/** The error object of a MeshError. @param status of the answer; default: that of its code. */
export function openAiError(error: unknown, status?: number): OpenAiError {
  const { code, message, details } = errorToJson(error)
  const http = status ?? (isErrorCode(code) ? ERROR_CODES[code].httpStatus : 500)
  return { message, type: typeOf(http), param: paramOf(details), code: codeOf(code, http, details) }
}

/**
 * Answers every error under a path in the shape of the OpenAI API, those of the guards before the routes as well, and gives every answer its {@link REQUEST_ID}: the trace id of
 * the client, if it sends a `traceparent`, else a new one.
 */
export function openAiErrors(): MiddlewareHandler<OpenAiEnv> {
  return async (context, next) => {
    const given = /^00-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(context.req.header('traceparent') ?? '')
    const requestId = given?.[1] ?? hex(16)
    context.set('requestId', requestId)
    context.set('traceparent', given?.[0] ?? `00-${requestId}-${hex(8)}-01`)
    await next()
    const { res, error } = context
    if (res.status >= 400) context.res = await inItsShape(res, error)
    context.res.headers.set(REQUEST_ID, requestId)
  }
}

async function inItsShape(response: Response, thrown: unknown): Promise<Response> {
  const { status } = response
  const error = thrown ?? (await errorIn(response))
  const headers = new Headers(response.headers)
  headers.set('content-type', 'application/json')
  headers.delete('content-length')
  const { retryable, retryAfterMs } = retryOf(error)
  // The clients of OpenAI send all of 5xx again by themselves: what has failed once would only be done twice.
  if (!retryable) headers.set('x-should-retry', 'false')
  if (retryAfterMs !== undefined) {
    headers.set('retry-after', String(Math.ceil(retryAfterMs / 1_000)))
    headers.set('retry-after-ms', String(Math.ceil(retryAfterMs)))
  }
  return new Response(JSON.stringify({ error: openAiError(error, status) }), { status, headers })
}

/** That of an answer that nobody threw: there is nothing at this path, or for this method. */
async function errorIn(response: Response): Promise<MeshError> {
  const body = (await response.json()) as { error: { message: string } }
  return new MeshError('unsupported', body.error.message, { openAiCode: response.status === 404 ? 'unknown_url' : 'unsupported' })
}

function retryOf(error: unknown): { retryable: boolean; retryAfterMs: number | undefined } {
  if (!(error instanceof MeshError)) return { retryable: false, retryAfterMs: undefined }
  const { retryAfterMs } = error.details
  // A model whose node was lost may be at it still.
  const retryable = error.retryable && error.details['begun'] !== true
  return { retryable, retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : undefined }
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error'
  if (status === 403) return 'permission_error'
  if (status === 429) return 'rate_limit_error'
  return status >= 500 ? 'server_error' : 'invalid_request_error'
}

function codeOf(code: string, status: number, { openAiCode }: ErrorDetails): string | null {
  if (openAiCode !== undefined) return openAiCode as string | null
  return status === 401 ? 'invalid_api_key' : code
}

/** What the checks of this API name, or those of the schema of the tool. */
function paramOf({ param, key, pointer: given, errors }: ErrorDetails): string | null {
  if (typeof param === 'string') return param
  if (typeof given === 'string') return fieldAt(given)
  if (typeof key === 'string') return key
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined
  const pointer = typeof first === 'object' && first !== null && 'pointer' in first ? first.pointer : undefined
  return typeof pointer === 'string' && pointer !== '' ? fieldAt(pointer) : null
}

/** `/messages/0/role` as `messages[0].role`. */
function fieldAt(pointer: string): string {
  return pointer
    .slice(1)
    .split('/')
    .map((part, at) =>
      /^\d+$/.test(part) ? `[${part}]` : `${at === 0 ? '' : '.'}${part.replaceAll('~1', '/').replaceAll('~0', '~')}`
    )
    .join('')
}

function hex(bytes: number): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
