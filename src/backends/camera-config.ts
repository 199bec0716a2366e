/** What the configuration of backend `camera` looks like. Data only. */
import type { JsonObject, JsonSchema } from '../../protocols/json.ts'
import { CAPABILITY_OPTIONS, triggerChoices } from './capability-options.ts'
import type { CapabilityOptions, TriggerChoices } from './capability-options.ts'

/** Names of the events of a camera. */
export const CAMERA_EVENTS = ['motion_detected', 'motion_ended'] as const
/** One of {@link CAMERA_EVENTS}. */
export type CameraEvent = (typeof CAMERA_EVENTS)[number]

/** Where pictures come from: exactly one of `device`, `url`, `urlEnv`, `file` and `lavfi`. */
export interface CameraSource {
  /** V4L2 device, such as `/dev/video0`. */
  device?: string
  /** Address of a stream, without user and password. */
  url?: string
  /** Name of the variable that holds the address, which may have user and password. */
  urlEnv?: string
  /** Video file, relative to the configuration file. */
  file?: string
  /** Plays `file` again and again. Default false. */
  loop?: boolean
  /** Filter graph of ffmpeg that makes pictures, such as `testsrc2`. */
  lavfi?: string
}

/** When something counts as motion. */
export interface MotionConfig {
  /** How much a pixel must get brighter or darker from one picture to the next, 1 to 255. Default 25. */
  pixel?: number
  /** Which part of the pixels must change, 0 to 1. Default 0.01. */
  area?: number
  /** In how many pictures one after another. Default 2. */
  frames?: number
  /** Motion has ended when there was none for this long, in ms. Default 2,000. */
  quietMs?: number
}

/** Configuration of one `camera` backend. */
export interface CameraConfig extends CapabilityOptions {
  kind: 'camera'
  id: string
  source: CameraSource
  /** Pictures a second. Default 5. */
  fps?: number
  /** Most pixels in a line of a picture. Default 640. */
  width?: number
  /** Quality of JPEG, 2 (best) to 31. Default 5. */
  quality?: number
  /** How long pictures are kept, in memory. Default 30 s and 64 MiB. */
  history?: { seconds?: number; maxBytes?: number }
  /** False: motion is not looked for. */
  motion?: MotionConfig | false
  /** The program. Default `ffmpeg`. */
  ffmpeg?: string
  triggers?: TriggerChoices<CameraEvent>
}

const text = { type: 'string', minLength: 1 } satisfies JsonSchema
const integer = (minimum: number, maximum: number, description: string): JsonObject => ({
  type: 'integer',
  minimum,
  maximum,
  description
})

const source = {
  type: 'object',
  additionalProperties: false,
  description: 'Where pictures come from.',
  oneOf: ['device', 'url', 'urlEnv', 'file', 'lavfi'].map((key) => ({ required: [key] })),
  properties: {
    device: { type: 'string', pattern: '^/', description: 'V4L2 device, such as /dev/video0.' },
    url: {
      type: 'string',
      pattern: '^(rtsps?|https?)://[^@\\s]+$',
      description: 'Address of a stream, such as rtsp://camera.lan/stream1, without user and password.'
    },
    urlEnv: {
      type: 'string',
      pattern: '^[A-Za-z_][A-Za-z0-9_]*$',
      description: 'Variable of the environment that holds the address; there it may have user and password.'
    },
    file: { ...text, description: 'Video file, relative to the configuration file.' },
    loop: { type: 'boolean', description: 'Play the file again and again. Default false.' },
    lavfi: { ...text, description: 'Filter graph of ffmpeg that makes pictures, to try things out: testsrc2' }
  },
  dependentRequired: { loop: ['file'] }
} satisfies JsonSchema

/** JSON Schema (2020-12) of {@link CameraConfig}. */
export const cameraConfigSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['kind', 'id', 'source'],
  description: 'A camera, by ffmpeg: pictures, clips, and events when something moves.',
  properties: {
    kind: { const: 'camera' },
    ...CAPABILITY_OPTIONS,
    source,
    fps: { type: 'number', minimum: 0.1, maximum: 30, description: 'Pictures a second. Default 5.' },
    width: integer(64, 3840, 'Most pixels in a line of a picture. Default 640.'),
    quality: integer(2, 31, 'Quality of JPEG, 2 is the best. Default 5.'),
    history: {
      type: 'object',
      additionalProperties: false,
      description: 'How long pictures are kept, in memory.',
      properties: {
        seconds: integer(1, 600, 'Default 30.'),
        maxBytes: integer(1_048_576, 1_073_741_824, 'Default 64 MiB.')
      }
    },
    motion: {
      description: 'When something counts as motion. False: it is not looked for.',
      oneOf: [
        { const: false },
        {
          type: 'object',
          additionalProperties: false,
          properties: {
            pixel: integer(1, 255, 'How much a pixel must get brighter or darker from one picture to the next. Default 25.'),
            area: { type: 'number', exclusiveMinimum: 0, maximum: 1, description: 'Part of the pixels. Default 0.01.' },
            frames: integer(1, 100, 'Pictures one after another. Default 2.'),
            quietMs: integer(1, 600_000, 'Motion has ended when there was none for so long, in ms. Default 2000.')
          }
        }
      ]
    },
    ffmpeg: { ...text, description: 'The program. Default ffmpeg.' },
    triggers: triggerChoices(CAMERA_EVENTS)
  }
}
