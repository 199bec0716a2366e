/** The tools and triggers of a camera, as they are declared. Data only. */
import type { ToolDeclaration, TriggerDeclaration } from '../../protocols/capability.ts'
import type { JsonObject } from '../../protocols/json.ts'

/** Most pictures that one call of `get_history` lists. */
export const MAX_LISTED_FRAMES = 1_000
/** Most seconds that a clip goes back. */
export const MAX_BEFORE_SECONDS = 600

const TIME = { type: 'string', format: 'date-time' }
const FRAME_ID = { type: 'string', description: 'Id of a picture that is kept. Default: the newest.' }
const BOX = {
  type: 'object',
  description: 'Where it moves, in parts of the width and height from the upper left corner.',
  properties: Object.fromEntries(['x', 'y', 'width', 'height'].map((key) => [key, { type: 'number', minimum: 0, maximum: 1 }]))
}
const SCORE = { type: 'number', minimum: 0, maximum: 1, description: 'Part of the pixels that changed.' }

const input = (properties: JsonObject): JsonObject => ({ type: 'object', additionalProperties: false, properties })

/** What others may call. */
export const CAMERA_TOOLS = (maxAfterSeconds: number): ToolDeclaration[] => [
  {
    name: 'get_frame',
    description: 'A picture: its JPEG as bytes, and what it is as the result.',
    input: input({ frame: FRAME_ID }),
    output: {
      type: 'object',
      properties: {
        frame: { type: 'string' },
        at: TIME,
        mediaType: { const: 'image/jpeg' },
        bytes: { type: 'integer' },
        score: SCORE,
        moving: { type: 'boolean' }
      }
    },
    streams: true,
    idempotent: true
  },
  {
    name: 'get_clip',
    description: 'Some seconds around a picture as video, as bytes; waits for pictures that are still to come.',
    input: input({
      frame: FRAME_ID,
      before: { type: 'number', minimum: 0, maximum: MAX_BEFORE_SECONDS, default: 5, description: 'Seconds before it.' },
      after: { type: 'number', minimum: 0, maximum: maxAfterSeconds, default: 0, description: 'Seconds after it.' },
      format: { enum: ['mp4', 'mjpeg'], default: 'mp4' }
    }),
    output: {
      type: 'object',
      properties: {
        mediaType: { type: 'string' },
        frames: { type: 'integer' },
        from: TIME,
        to: TIME,
        bytes: { type: 'integer' }
      }
    },
    timeoutMs: 120_000,
    concurrency: 2,
    queue: 4,
    streams: true,
    idempotent: true
  },
  {
    name: 'get_history',
    description: 'Which pictures are kept, and what moved: the oldest first.',
    input: input({
      since: { ...TIME, description: 'Default: all that is kept.' },
      moving: { type: 'boolean', default: false, description: 'Only pictures in which something moves.' },
      limit: { type: 'integer', minimum: 1, maximum: MAX_LISTED_FRAMES, default: 100, description: 'The newest so many.' }
    }),
    output: {
      type: 'object',
      properties: {
        since: TIME,
        frames: {
          type: 'array',
          items: {
            type: 'object',
            properties: { frame: { type: 'string' }, at: TIME, score: SCORE, moving: { type: 'boolean' } }
          }
        },
        motions: { type: 'array', items: { type: 'object' } },
        truncated: { type: 'boolean' }
      }
    },
    idempotent: true
  }
]

/** What a camera raises. */
export const CAMERA_TRIGGERS: TriggerDeclaration[] = [
  {
    event: 'motion_detected',
    description: 'Something began to move.',
    intentTemplate: 'Something moves in front of the camera; picture {frame}',
    payload: {
      type: 'object',
      required: ['frame', 'at', 'score'],
      properties: {
        frame: { type: 'string', description: 'Id of the picture, for get_frame and get_clip.' },
        at: TIME,
        positionMs: { type: 'integer', description: 'Time since the source began, in ms.' },
        score: SCORE,
        box: BOX
      }
    }
  },
  {
    event: 'motion_ended',
    description: 'Nothing moves any more.',
    intentTemplate: 'Something moved in front of the camera for {durationMs} ms; picture {frame}',
    payload: {
      type: 'object',
      required: ['frame', 'startedAt', 'endedAt', 'durationMs', 'score'],
      properties: {
        frame: { type: 'string', description: 'Id of the picture in which most moved.' },
        startedAt: TIME,
        endedAt: TIME,
        durationMs: { type: 'integer' },
        positionMs: { type: 'integer', description: 'Time since the source began, in ms.' },
        score: SCORE,
        box: BOX
      }
    }
  }
]
