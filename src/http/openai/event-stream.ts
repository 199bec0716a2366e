/** Answers as server-sent events, as the OpenAI API has them. */
import type { JsonObject, JsonValue } from '../../../protocols/json.ts'
import { MeshError } from '../../errors.ts'
import { pullStream, STREAM_HEADERS } from '../pull-stream.ts'
import { nextItem, type BegunCall } from './begin-call.ts'
import { openAiError } from './openai-errors.ts'

/** What a call that has begun yields, its result last. @throws MeshError also where the call begins anew elsewhere: what has come before is with the client already. */
export async function* itemsOf({ first, rest }: BegunCall): AsyncGenerator<JsonValue, JsonValue, void> {
  try {
    for (let item = first; ; item = await nextItem(rest)) {
      if (item.kind === 'result') return item.value
      if (item.kind === 'restart')
        throw new MeshError('unavailable', `the provider was lost in the middle of its answer (${item.reason})`, {
          reason: 'lost'
        })
      if (item.kind === 'json') yield item.value
    }
  } finally {
    // Not waited for: it may stand behind a read that never ends.
    void rest.return?.()
  }
}

/** An answer of events. What fails in its middle is told as an event of its own: its status is with the client already. */
export function eventStream(
  events: AsyncGenerator<JsonObject, void, void>,
  { headers, onCancel, end, failure }: EventStreamInit
): Response {
  async function* lines(): AsyncGenerator<string, void, void> {
    try {
      for await (const event of events) yield lineOf(event)
      if (end !== undefined) yield `data: ${end}\n\n`
    } catch (error) {
      yield lineOf(failure?.(error) ?? { error: { ...openAiError(error) } })
    }
  }
  return new Response(pullStream(lines(), onCancel), {
    headers: { 'content-type': 'text/event-stream; charset=utf-8', ...STREAM_HEADERS, ...headers }
  })
}

/** How {@link eventStream} answers. */
export interface EventStreamInit {
  headers: Record<string, string>
  /** The client has gone. */
  onCancel: () => void
  /** Data of the last event, if all went well. */
  end?: string
  /** The event that tells an error. Default: `{"error"}`. */
  failure?: (error: unknown) => JsonObject
}

/** Events with a type have it as their name as well. */
function lineOf(event: JsonObject): string {
  const { type } = event
  return `${typeof type === 'string' ? `event: ${type}\n` : ''}data: ${JSON.stringify(event)}\n\n`
}
