/** What to say of a pattern of events that nothing fits now: it may be mistyped, or early. */
import { matchGlob, matchName } from '../../protocols/glob.ts'
import { nearest } from '../../protocols/nearest.ts'
import { fitsEvent, parseEventPattern } from '../../protocols/trigger/event-pattern.ts'
import { EVENT_NAMES } from '../mesh-api-live.ts'
import type { CapabilityView } from '../mesh-api.ts'
import { plain } from './output.ts'

/** Of several types that are as near, the first so many are named. */
const MAX_NAMED = 3

/** A pattern that nothing fits which capabilities of the mesh may raise. */
export interface Unmatched {
  pattern: string
  /** The pattern that was probably meant: its own globs, and words that are there. */
  meant?: string
  /** What that would be, or else what there is: types, or `TYPE:EVENT` where the pattern names events; 3 at most. */
  known: string[]
}

/** Undefined where something fits. @throws MeshError `invalid_argument` for what is no pattern of events. */
export function unmatchedBy(pattern: string, capabilities: readonly CapabilityView[]): Unmatched | undefined {
  const parsed = parseEventPattern(pattern)
  const namesEvents = pattern.includes(':')
  // What other meshes lend raises nothing here.
  const own = capabilities.filter(({ mesh }) => mesh === undefined)
  const raised = own.flatMap(({ type, triggers }) => triggers.map(({ event }): Name => [type, event]))
  if (raised.some(([type, event]) => fitsEvent(parsed, type, event))) return undefined
  /** By the pattern that each would fit: what it is. */
  const shaped = new Map<string, Set<string>>()
  const add = ([type, event]: Name, name: string): void => {
    const shape = like(type, parsed.type, '/', matchGlob) + (namesEvents ? `:${like(event, parsed.event, ':', matchName)}` : '')
    shaped.set(shape, (shaped.get(shape) ?? new Set()).add(name))
  }
  for (const [type, event] of raised) add([type, event], namesEvents ? `${type}:${event}` : type)
  // `per:*` or `trigr` may be meant as one of what nodes do.
  for (const name of EVENT_NAMES) {
    const [type = '', event = ''] = name.split(':')
    if (namesEvents === name.includes(':') && !matchGlob(parsed.type, name)) add([type, event], name)
  }
  // Of a word that lost letters, a third of what it was may be wrong.
  const meant = nearest(pattern, shaped.keys()) ?? [...shaped.keys()].find((shape) => nearest(shape, [pattern]) !== undefined)
  if (meant !== undefined) return { pattern, meant, known: [...shaped.get(meant)!].slice(0, MAX_NAMED) }
  return { pattern, known: [...new Set(raised.map(([type]) => type))].slice(0, MAX_NAMED) }
}

type Name = [type: string, event: string]

/** A name as a pattern would say it: where that has a glob, the glob. */
function like(name: string, pattern: string, separator: string, match: typeof matchGlob): string {
  if (match(pattern, name)) return pattern
  const globs = pattern.split(separator)
  const words = name.split(separator)
  if (globs.at(-1) === '**' && words.length > globs.length) words.length = globs.length
  return words.map((word, at) => (/[*?]/.test(globs[at] ?? '') && match(globs[at]!, word) ? globs[at] : word)).join(separator)
}

/** In words. */
export function showUnmatched({ pattern, meant, known }: Unmatched): string {
  const names = plain(known.join(', '))
  const hint =
    meant === undefined
      ? known.length === 0
        ? 'no capability raises events now'
        : `events are raised by ${names}`
      : known.length === 1 && known[0] === meant
        ? `did you mean ${names}?`
        : `did you mean ${plain(meant)} (${names})?`
  return `nothing that is announced now raises events of ${plain(pattern)}; ${hint}; what comes later is shown`
}
