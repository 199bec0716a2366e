import type { JsonValue } from './json.ts'

/**
 * The vectors in the `data` of an answer to a request for embeddings (https://platform.openai.com/docs/api-reference/embeddings/object), one for each text, in the order of the texts: servers give
 * them in any, and say by `index` which text each is of. Undefined if `data` is anything else, so that no vector is ever taken for that of another text.
 * @param count how many texts were asked for.
 */
export function vectorsInOrder(data: JsonValue | undefined, count: number): number[][] | undefined {
  if (!Array.isArray(data) || data.length !== count) return undefined
  const vectors = new Map<number, number[]>()
  for (const [at, entry] of data.entries()) {
    if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return undefined
    const { index = at, embedding } = entry
    if (!Number.isInteger(index) || !isVector(embedding)) return undefined
    vectors.set(index as number, embedding)
  }
  const ordered = data.flatMap((_, at) => {
    const vector = vectors.get(at)
    return vector === undefined ? [] : [vector]
  })
  return ordered.length === count ? ordered : undefined
}

function isVector(value: JsonValue | undefined): value is number[] {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'number')
}
