import { isDeeper, type JsonValue } from '../../../protocols/json.ts'
import { MAX_JSON_DEPTH } from '../../../protocols/shape.ts'

/** Longest text that one value of a payload becomes, in characters. */
export const MAX_VALUE_TEXT = 512

const PATH = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/
// Line feeds and the like would let a value look like lines of its own to whoever reads the text, a model perhaps.
// eslint-disable-next-line no-control-regex -- these are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g

/** The keys of `key` or `a.b`; undefined if it is no such path. */
export function pathOf(text: string): string[] | undefined {
  return PATH.test(text) ? text.split('.') : undefined
}

/** What stands at a path, by own keys alone; of lists by index. Undefined if nothing does, or null, or an empty text. */
export function valueAt(value: JsonValue | undefined, path: readonly string[]): JsonValue | undefined {
  let at = value
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined
    // A list owns its length, too.
    if (Array.isArray(at) && !/^\d+$/.test(key)) return undefined
    at = (at as Record<string, JsonValue>)[key]
  }
  return at === null || at === '' ? undefined : at
}

/** A value as part of a sentence: one line, cut. */
export function textOf(value: JsonValue): string {
  let text: string
  if (typeof value === 'string') text = value
  else if (typeof value === 'object' && isDeeper(value, MAX_JSON_DEPTH)) text = '…'
  else text = JSON.stringify(value)
  return cut(text.replace(CONTROL, ' '), MAX_VALUE_TEXT)
}

/** At most so many characters, and no half of one. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text
  const kept = text.slice(0, max - 1)
  return `${/[\ud800-\udbff]$/.test(kept) ? kept.slice(0, -1) : kept}…`
}
