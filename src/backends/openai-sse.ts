/** Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) as servers of language models send them. */
import { MeshError } from '../errors.ts'

/** Longest event, in characters: a chunk of an answer has a few hundred. */
export const MAX_EVENT_CHARACTERS = 1024 * 1024

/**
 * The data of the events of a stream: lines may end in CR, LF or both, comments and other fields are left out, and characters may be split over pieces. What the stream ends with
 * is an event also without the empty line, which some servers forget. @throws MeshError `too_large`.
 */
export async function* serverSentData(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder()
  let rest = ''
  let data: string[] = []
  let held = 0

  function* take(text: string, isLast: boolean): Generator<string, void, void> {
    rest += text
    // A CR at the end may be the first half of CR LF.
    const end = !isLast && rest.endsWith('\r') ? rest.length - 1 : rest.length
    const lines = rest.slice(0, end).split(/\r\n|\r|\n/)
    rest = (isLast ? '' : lines.pop()!) + rest.slice(end)
    for (const line of isLast ? [...lines, ''] : lines) {
      if (line === '') {
        if (data.length > 0) yield data.join('\n')
        data = []
        held = 0
      } else if (/^data(:|$)/.test(line)) {
        data.push(line.slice(5).replace(/^ /, ''))
        held += line.length
      }
    }
    if (held + rest.length > MAX_EVENT_CHARACTERS)
      throw new MeshError('too_large', `the server sends an event of more than ${MAX_EVENT_CHARACTERS} characters`, {
        limit: MAX_EVENT_CHARACTERS
      })
  }

  for await (const piece of pieces) yield* take(decoder.decode(piece, { stream: true }), false)
  yield* take(decoder.decode(), true)
}
