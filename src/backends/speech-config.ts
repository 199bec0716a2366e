/** What the configuration of backend `speech` looks like. Data only. */
import type { JsonObject, JsonSchema } from '../../protocols/json.ts'
import { CAPABILITY_OPTIONS, triggerChoices } from './capability-options.ts'
import type { CapabilityOptions, TriggerChoices } from './capability-options.ts'

/** Name of the event of a speaker. */
export const SPEECH_EVENTS = ['speech_complete'] as const

/** Slowest speech, in words a minute. */
export const MIN_RATE = 80
/** Fastest speech, in words a minute. */
export const MAX_RATE = 450
/** What a voice may be called: a language (`en-gb`) or a name, perhaps with a variant (`en+f3`). */
export const VOICE_PATTERN = '^[A-Za-z][A-Za-z0-9_+-]{0,63}$'

/** Configuration of one `speech` backend: text to speech by espeak-ng. */
export interface SpeechConfig extends CapabilityOptions {
  kind: 'speech'
  /** Voice if the caller names none. Default `en`. */
  voice?: string
  /** Words a minute if the caller names none. Default 175. */
  rate?: number
  /** Program and arguments that play a WAV file from standard input, such as `[aplay, -q]`. Without it nothing is played. */
  player?: string[]
  /** Folder in which each speech is kept as a WAV file, relative to the configuration file. */
  folder?: string
  /** Files that are kept there; the oldest go. Default 100. */
  keepFiles?: number
  /** The program. Default `espeak-ng`. */
  espeak?: string
  triggers?: TriggerChoices<(typeof SPEECH_EVENTS)[number]>
}

const text = { type: 'string', minLength: 1 } satisfies JsonSchema

/** JSON Schema (2020-12) of {@link SpeechConfig}. */
export const speechConfigSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['kind'],
  description: 'Text to speech by espeak-ng: played here, kept in a folder, or sent to the caller.',
  properties: {
    kind: { const: 'speech' },
    ...CAPABILITY_OPTIONS,
    voice: { type: 'string', pattern: VOICE_PATTERN, description: 'Language or name of the voice. Default en.' },
    rate: { type: 'integer', minimum: MIN_RATE, maximum: MAX_RATE, description: 'Words a minute. Default 175.' },
    player: {
      type: 'array',
      minItems: 1,
      items: { type: 'string' },
      description: 'Program and arguments that play a WAV file from standard input. Without it nothing is played.',
      examples: [['aplay', '-q']]
    },
    folder: { ...text, description: 'Each speech is kept in this folder, relative to the configuration file.' },
    keepFiles: { type: 'integer', minimum: 1, maximum: 100_000, description: 'Files that are kept; the oldest go. Default 100.' },
    espeak: { ...text, description: 'The program. Default espeak-ng.' },
    triggers: triggerChoices(SPEECH_EVENTS)
  }
}
