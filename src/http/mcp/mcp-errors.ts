/** Errors of `/mcp` as JSON-RPC has them: https://www.jsonrpc.org/specification#error_object. Without the SDK: most nodes have no client, and refuse without it. */
import type { MiddlewareHandler } from 'hono'
import { errorToJson, type MeshError } from '../../errors.ts'

/** Codes of JSON-RPC. What is refused by HTTP, or this node, has one that is left to servers. */
export const RPC_CODES = { parseError: -32_700, invalidRequest: -32_600, internalError: -32_603, refused: -32_000 } as const

const rpcCodes = new WeakMap<Error, number>()

/** The error itself: JSON-RPC has a code of its own for it. */
export function withRpcCode(error: MeshError, code: number): MeshError {
  rpcCodes.set(error, code)
  return error
}

/** An error that answers no request. */
export function refusal(status: number, message: string, headers: Record<string, string> = {}): Response {
  return Response.json({ jsonrpc: '2.0', error: { code: RPC_CODES.refused, message }, id: null }, { status, headers })
}

/**
 * Answers every error under a path that is met before there is a message in the shape of JSON-RPC, with its HTTP status and headers: those of the guards, of the query, of the body, and of methods
 * and paths that are not there. `data` is what the mesh says of it, `{ code, details }`.
 */
export function mcpErrors(): MiddlewareHandler {
  return async (context, next) => {
    await next()
    const { res, error } = context
    if (res.status < 400) return
    const told = error === undefined ? await toldIn(res) : errorToJson(error)
    if (told === undefined) return
    const { code, message, details } = told
    const own = error && rpcCodes.get(error)
    const rpcCode = own ?? (code === 'internal' ? RPC_CODES.internalError : RPC_CODES.refused)
    const headers = new Headers(res.headers)
    headers.delete('content-length')
    const body = { jsonrpc: '2.0', error: { code: rpcCode, message, data: { code, details } }, id: null }
    context.res = Response.json(body, { status: res.status, headers })
  }
}

/** What the answer of a path or method that is not there says; undefined for one of the SDK, which is of JSON-RPC, or has no body. */
async function toldIn(response: Response): Promise<ReturnType<typeof errorToJson> | undefined> {
  if (response.headers.get('content-type') !== 'application/json') return undefined
  const body = (await response.clone().json()) as { jsonrpc?: string; error: ReturnType<typeof errorToJson> }
  return body.jsonrpc === undefined ? body.error : undefined
}
