import type { CapabilityDeclaration, TriggerDeclaration } from '../../../protocols/capability.ts'
import type { JsonValue } from '../../../protocols/json.ts'
import { MAX_SUBJECT } from '../../../protocols/trigger/messages.ts'
import { MeshError } from '../../errors.ts'
import { cut, pathOf, textOf, valueAt } from './payload-value.ts'

/** Where the subject of an event stands in its payload, or in the metadata of its capability, unless the trigger says otherwise. */
export const DEFAULT_SUBJECT = 'location'

/** What an event is about; undefined if its payload does not say. */
export type SubjectOf = (payload: JsonValue) => string | undefined

/** @throws MeshError `invalid_argument` if the trigger names no key. */
export function compileSubject(
  { id, metadata = {} }: Pick<CapabilityDeclaration, 'id' | 'metadata'>,
  { event, subject = DEFAULT_SUBJECT }: TriggerDeclaration
): SubjectOf {
  const path = pathOf(subject)
  if (path === undefined) {
    const message = `the subject of trigger "${event}" of "${id}" must be a key such as "door" or "door.name"`
    throw new MeshError('invalid_argument', message, { capability: id, event, subject })
  }
  return (payload) => {
    const value = valueAt(payload, path) ?? valueAt(metadata, path)
    return value === undefined ? undefined : cut(textOf(value), MAX_SUBJECT)
  }
}

/** What throttles and debounces share: events of one capability, one name and one subject. */
export function firingKey(capability: string, event: string, subject: string | undefined): string {
  // Neither an id nor a name has blanks.
  return subject === undefined ? `${capability} ${event}` : `${capability} ${event} ${subject}`
}
