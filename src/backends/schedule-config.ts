/** What the configuration of backend `schedule` looks like. Data only. */
import type { JsonObject, JsonSchema } from '../../protocols/json.ts'
import { CAPABILITY_OPTIONS, EVENT_NAME, TRIGGER_OPTIONS } from './capability-options.ts'
import type { CapabilityOptions, TriggerOptions } from './capability-options.ts'

/** An event at given times: `cron` or `every`. */
export interface ScheduleTriggerConfig extends TriggerOptions {
  event: string
  /** Cron expression of five fields, or of six with seconds first. */
  cron?: string
  /** Number and unit, `250ms`, `10s`, `5m`, `2h`, `1d`: at multiples of it since 1970 in UTC. */
  every?: string
  /** IANA time zone of `cron`. Default: that of the backend. */
  timeZone?: string
}

/** Configuration of one `schedule` backend. */
export interface ScheduleConfig extends CapabilityOptions {
  kind: 'schedule'
  /** IANA time zone. Default: that of the machine. */
  timeZone?: string
  triggers: ScheduleTriggerConfig[]
}

const timeZone = {
  type: 'string',
  minLength: 1,
  description: 'IANA time zone of cron expressions, such as Europe/Berlin. Default: that of the machine.'
} satisfies JsonSchema

/** JSON Schema (2020-12) of {@link ScheduleConfig}. */
export const scheduleConfigSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['kind', 'triggers'],
  description: 'Events at given times.',
  properties: {
    kind: { const: 'schedule' },
    ...CAPABILITY_OPTIONS,
    timeZone,
    triggers: {
      type: 'array',
      minItems: 1,
      maxItems: 256,
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['event'],
        oneOf: [
          { required: ['cron'], properties: { every: false } },
          { required: ['every'], properties: { cron: false, timeZone: false } }
        ],
        properties: {
          event: EVENT_NAME,
          cron: {
            type: 'string',
            minLength: 1,
            description: 'Cron expression: minute, hour, day, month, weekday; with six fields the first is the second.',
            examples: ['0 7 * * mon-fri']
          },
          every: {
            type: 'string',
            pattern: '^[1-9][0-9]*(ms|s|m|h|d)$',
            description: 'Number and unit (ms, s, m, h, d): at multiples of it since 1970 in UTC. From 100ms to 366d.',
            examples: ['10s']
          },
          timeZone,
          ...TRIGGER_OPTIONS
        }
      }
    }
  }
}
