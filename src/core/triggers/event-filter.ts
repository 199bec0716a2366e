import { fitsEvent, parseEventPattern } from '../../../protocols/trigger/event-pattern.ts'

/** Answers that are remembered; past it all are looked up anew. */
const MAX_REMEMBERED = 1_024

/** True if an event that a capability of this type raises fits one of the patterns. */
export type EventFilter = (type: string, event: string) => boolean

/** Remembers its answers: the same few events come again and again. @throws MeshError `invalid_argument` for a bad pattern. */
export function createEventFilter(patterns: readonly string[]): EventFilter {
  const parsed = patterns.map(parseEventPattern)
  const answers = new Map<string, boolean>()
  return (type, event) => {
    const key = `${type}:${event}`
    const known = answers.get(key)
    if (known !== undefined) return known
    const fits = parsed.some((pattern) => fitsEvent(pattern, type, event))
    if (answers.size >= MAX_REMEMBERED) answers.clear()
    answers.set(key, fits)
    return fits
  }
}
