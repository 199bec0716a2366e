/** What the configuration of backend `folder` looks like. Data only. */
import { MAX_PATTERN } from '../../protocols/glob.ts'
import type { JsonObject } from '../../protocols/json.ts'
import { CAPABILITY_OPTIONS, triggerChoices } from './capability-options.ts'
import type { CapabilityOptions, TriggerChoices } from './capability-options.ts'

/** Names of the events of a watched folder. */
export const FOLDER_EVENTS = ['file_added', 'file_changed', 'file_removed'] as const
/** One of {@link FOLDER_EVENTS}. */
export type FolderEvent = (typeof FOLDER_EVENTS)[number]

/** Configuration of one `folder` backend: watches one folder of this machine. */
export interface FolderConfig extends CapabilityOptions {
  kind: 'folder'
  /** The folder, relative to the configuration file. */
  path: string
  /** Globs over paths inside the folder; only files that fit one are told. Default: all. */
  match?: string[]
  /** Tells names that begin with a dot, too. Default false. */
  hidden?: boolean
  /** A file counts as written when it has not changed for this long, in ms. Default 1,000. */
  settleMs?: number
  /** Looks again and again instead of waiting for the system to tell: for network drives. Default false. */
  poll?: boolean
  /** Adds the tool `read`. Default false. */
  readable?: boolean
  triggers?: TriggerChoices<FolderEvent>
}

/** JSON Schema (2020-12) of {@link FolderConfig}. */
export const folderConfigSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['kind', 'path'],
  description: 'Watches one folder: events for files that are added, changed and removed.',
  properties: {
    kind: { const: 'folder' },
    ...CAPABILITY_OPTIONS,
    path: { type: 'string', minLength: 1, description: 'The folder, relative to the configuration file.' },
    match: {
      type: 'array',
      minItems: 1,
      maxItems: 64,
      items: { type: 'string', minLength: 1, maxLength: MAX_PATTERN },
      description: 'Globs over paths inside the folder (* within a name, ** across folders); only these files are told.',
      examples: [['**.pdf']]
    },
    hidden: { type: 'boolean', description: 'Tell of names that begin with a dot, too. Default false.' },
    settleMs: {
      type: 'integer',
      minimum: 10,
      maximum: 600_000,
      description: 'A file counts as written when it has not changed for this long, in ms. Default 1000.'
    },
    poll: {
      type: 'boolean',
      description: 'Look again and again instead of waiting for the system to tell: for network drives. Default false.'
    },
    readable: { type: 'boolean', description: 'Others may read the files of the folder. Default false.' },
    triggers: triggerChoices(FOLDER_EVENTS)
  }
}
