/** Answers at the server of Node, where its adapter would wait. */
import type { ServerResponse } from 'node:http'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'

/**
 * The adapter reads each answer as a stream, and waits a turn of the clock for more before it writes the first of it. Of a stream nothing is waited for here; an answer in JSON, which is there as a
 * whole, is written at once, with its length. @returns what is left to the adapter.
 */
export async function answerAtOnce(response: Response, outgoing: ServerResponse): Promise<Response> {
  const { body, headers, status } = response
  if (body === null) return response
  if (isJson(headers)) {
    const bytes = new Uint8Array(await response.arrayBuffer())
    // In pairs: one name may come several times.
    outgoing.writeHead(status, [...headers, ['content-length', String(bytes.length)]].flat()).end(bytes)
    return RESPONSE_ALREADY_SENT
  }
  // RFC 9112, 7.1: not to clients of HTTP/1.0. What has a length is no stream.
  if (outgoing.useChunkedEncodingByDefault && !headers.has('content-length')) headers.set('transfer-encoding', 'chunked')
  return response
}

const isJson = (headers: Headers): boolean => headers.get('content-type')?.split(';', 1)[0] === 'application/json'
