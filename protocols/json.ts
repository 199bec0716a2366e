/** Any JSON value. Bytes are not JSON: they travel as items of their own. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue }

/** A JSON object. */
export type JsonObject = { [key: string]: JsonValue }

/** A JSON Schema, draft 2020-12 (https://json-schema.org/draft/2020-12). */
export type JsonSchema = JsonObject | boolean

/** True if arrays and objects are nested in more than that many levels. */
export function isDeeper(value: unknown, levels: number): boolean {
  return countKeys(value, levels) === undefined
}

/**
 * How many keys all objects in it have together; undefined if arrays and objects are nested in more than that many levels. Without recursion: what it looks
 * for would overflow the stack.
 */
export function countKeys(value: unknown, levels: number): number | undefined {
  let level: unknown[] = [value]
  let keys = 0
  for (let depth = 0; depth <= levels; depth++) {
    level = level.flatMap((one) => {
      if (typeof one !== 'object' || one === null) return []
      const inside = Object.values(one) as unknown[]
      if (!Array.isArray(one)) keys += inside.length
      return inside
    })
    if (level.length === 0) return keys
  }
  return undefined
}
