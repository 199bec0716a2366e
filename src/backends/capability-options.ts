/** What every configuration of a capability with events may say of it and of them. Data only. */
import type { CapabilityDeclaration, TriggerDeclaration } from '../../protocols/capability.ts'
import type { JsonObject, JsonSchema } from '../../protocols/json.ts'

/** How a capability is presented. */
export interface CapabilityOptions {
  id?: string
  name?: string
  description?: string
  examples?: string[]
  keywords?: string[]
  /** Facts about it: `location` is what its events are about, unless a trigger says otherwise. */
  metadata?: JsonObject
}

/** How the events of one trigger travel, and what they ask for. */
export type TriggerOptions = Pick<
  TriggerDeclaration,
  'description' | 'intentTemplate' | 'subject' | 'routeHint' | 'fanOut' | 'priority' | 'throttleMs' | 'debounceMs' | 'expiresMs'
>

/** Options of triggers by their names; `false` leaves one out. */
export type TriggerChoices<Event extends string> = { [E in Event]?: TriggerOptions | false }

const text = { type: 'string', minLength: 1 } satisfies JsonSchema
const texts = { type: 'array', maxItems: 64, items: text } satisfies JsonSchema

/** Properties of {@link CapabilityOptions} in a JSON Schema. */
export const CAPABILITY_OPTIONS = {
  id: { type: 'string', pattern: '^[a-z0-9][a-z0-9._:-]{0,127}$', description: 'Id of the capability, unique on this node.' },
  name: text,
  description: text,
  examples: { ...texts, description: 'Sentences that this capability should answer.' },
  keywords: texts,
  metadata: {
    type: 'object',
    description: 'Facts about it. Its "location" is what its events are about, unless a trigger names another subject.'
  }
} satisfies JsonObject

/** Property `event` of a trigger in a JSON Schema. */
export const EVENT_NAME = {
  type: 'string',
  pattern: '^[A-Za-z0-9_.-]{1,128}$',
  description: 'Name of the event, unique within the capability.'
} satisfies JsonSchema

/** Properties of {@link TriggerOptions} in a JSON Schema. */
export const TRIGGER_OPTIONS = {
  description: text,
  intentTemplate: {
    ...text,
    description: 'Text of the intent; {key} and {a.b} are filled from the payload, or from the metadata of the capability.'
  },
  subject: {
    ...text,
    description: 'Key of the payload, or of the metadata, that says what an event is about. Default location.'
  },
  routeHint: {
    ...text,
    description: 'Where it should go: capability:ID, a glob over types, a domain, or meaning:GLOB for whom its words mean.'
  },
  fanOut: {
    oneOf: [{ enum: ['one', 'all'] }, { type: 'integer', minimum: 1 }] as JsonObject[],
    description: 'How many of those that it may go to handle it. Default one.'
  },
  priority: { enum: ['low', 'normal', 'high', 'critical'] },
  throttleMs: { type: 'integer', minimum: 0, description: 'Shortest time between two events of one subject, in ms.' },
  debounceMs: {
    type: 'integer',
    minimum: 0,
    description: 'An event waits until none of its subject has been raised for this time, in ms.'
  },
  expiresMs: { type: 'integer', minimum: 1, description: 'How long an event may wait to be handled, in ms.' }
} satisfies JsonObject

/** Property `triggers` of a configuration whose triggers have fixed names. */
export function triggerChoices(events: readonly string[]): JsonObject {
  const options = { type: 'object', additionalProperties: false, properties: TRIGGER_OPTIONS }
  return {
    type: 'object',
    additionalProperties: false,
    description: 'What is different for these events; false leaves one out.',
    properties: Object.fromEntries(events.map((event) => [event, { oneOf: [{ const: false }, options] }]))
  }
}

/** Triggers with what the configuration says of them, without those that it leaves out. */
export function chosenTriggers(
  triggers: readonly TriggerDeclaration[],
  choices: TriggerChoices<string> = {}
): TriggerDeclaration[] {
  return triggers.flatMap((trigger) => {
    const choice = choices[trigger.event]
    return choice === false ? [] : [{ ...trigger, ...choice }]
  })
}

/** The start of a declaration: what the configuration gives, over what the backend would say. */
export function describedBy(config: CapabilityOptions, standard: CapabilityDeclaration): CapabilityDeclaration {
  const { id, name, description, examples, keywords, metadata } = config
  const given = Object.entries({ id, name, description, examples, keywords, metadata }).filter(([, value]) => value !== undefined)
  return { ...standard, ...Object.fromEntries(given) }
}
