import { MeshError } from '../errors.ts'
import { MAX_PATTERN, matchGlob, matchName } from '../glob.ts'

/** Which events are meant: `TYPE` or `TYPE:EVENT`, both globs. See {@link parseEventPattern}. */
export interface EventPattern {
  /** Glob over types of capabilities: `*` stays within a segment, `**` crosses them. */
  type: string
  /** Glob over names of events: `*` is any text. */
  event: string
}

const PATTERN = /^([a-z0-9._*?/-]+)(?::([A-Za-z0-9._*?-]+))?$/

/**
 * Reads a pattern of events: `sensor/*` is all that capabilities of these types raise, `sensor/camera:person*` some of it, `**` everything.
 * @throws MeshError `invalid_argument` that says what a pattern looks like.
 */
export function parseEventPattern(text: string): EventPattern {
  const match = text.length <= MAX_PATTERN ? PATTERN.exec(text) : null
  if (match === null)
    throw new MeshError(
      'invalid_argument',
      `a pattern of events must be TYPE or TYPE:EVENT, such as "sensor/*" or "sensor/camera:person", of at most ${MAX_PATTERN} characters`,
      { key: 'pattern', pattern: text.slice(0, MAX_PATTERN) }
    )
  return { type: match[1]!, event: match[2] ?? '*' }
}

/** True if an event that a capability of this type raises is meant. */
export function fitsEvent(pattern: EventPattern, type: string, event: string): boolean {
  return matchGlob(pattern.type, type) && matchName(pattern.event, event)
}
