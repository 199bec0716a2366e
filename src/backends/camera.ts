/** Backend `camera`: pictures, clips and motion of one camera, by ffmpeg. */
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import { MeshError } from '../errors.ts'
import type { JsonObject } from '../core/invoke.ts'
import type { ToolHandler } from '../mesh-api.ts'
import type { Backend } from './backend.ts'
import { piecesOf } from './byte-pieces.ts'
import { captureFrames } from './camera-capture.ts'
import type { CameraConfig } from './camera-config.ts'
import { MAX_AFTER_SECONDS, streamClip } from './camera-clip.ts'
import type { ClipInit } from './camera-clip.ts'
import { createFrameRing } from './camera-frames.ts'
import type { Frame, FrameRing } from './camera-frames.ts'
import { createMotions } from './camera-motions.ts'
import type { Motions } from './camera-motions.ts'
import { DEFAULT_FPS } from './camera-source.ts'
import type { CameraSourceInit } from './camera-source.ts'
import { CAMERA_TOOLS, CAMERA_TRIGGERS, MAX_LISTED_FRAMES } from './camera-tools.ts'
import { chosenTriggers, describedBy } from './capability-options.ts'
import { onlineUnless } from './capability-state.ts'
import { createProgramGroup } from './child-process.ts'
import { createDropOldestQueue } from './drop-oldest-queue.ts'
import { createEventQueue } from './event-queue.ts'
import { createHandlerCalls, lookupIn } from './handler-calls.ts'
import { createOwnSignal } from './own-signal.ts'
import type { Backoff } from './restart-delay.ts'

/** Bytes of pictures that are kept if nothing is given. */
export const DEFAULT_HISTORY_BYTES = 64 * 1024 * 1024
/** Seconds of pictures that are kept if nothing is given. */
export const DEFAULT_HISTORY_SECONDS = 30

/** What the backend needs beside its configuration. */
export interface CameraInit extends CameraSourceInit {
  backoff?: Backoff
  stallMs?: number
}

/** Makes a backend for one camera. */
export function createCameraBackend(config: CameraConfig, init: CameraInit): Backend {
  const { id, fps = DEFAULT_FPS, history = {} } = config
  const programs = createProgramGroup()
  const frames = createFrameRing({
    seconds: history.seconds ?? DEFAULT_HISTORY_SECONDS,
    maxBytes: history.maxBytes ?? DEFAULT_HISTORY_BYTES
  })
  const declaration = declare(config)
  const raised = new Set((declaration.triggers ?? []).map(({ event }) => event))
  const queue = createEventQueue(id)
  const motions = createMotions((event, payload) => {
    if (raised.has(event)) queue.raise(event, payload)
  })
  // Only the latest state counts.
  const snapshots = createDropOldestQueue<CapabilityDeclaration[]>({ limit: 1 })
  const clip: ClipInit = { frames, programs, ffmpeg: config.ffmpeg ?? 'ffmpeg', cwd: init.baseDir }
  const handlers = new Map<string, ToolHandler>([
    ['get_frame', (input) => getFrame(frames, input)],
    ['get_clip', (input, { signal }) => getClip(frames, clip, fps, input, signal)],
    ['get_history', (input) => getHistory(frames, motions, input)]
  ])
  const calls = createHandlerCalls(lookupIn(id, handlers))

  return {
    id,
    kind: 'camera',
    call: calls.call,
    async *discover(signal) {
      const own = createOwnSignal(signal)
      const capture = {
        ...init,
        programs,
        // Ids of an earlier run of the node shall not name pictures of this one.
        prefix: Date.now().toString(36),
        onFrame: (frame: Frame, step: Parameters<Motions['next']>[1]) => {
          frames.add(frame)
          motions.next(frame, step)
        },
        onState: (problem: string | undefined) => void snapshots.push(onlineUnless(declaration, problem)),
        onEnd: () => motions.end()
      }
      const capturing = captureFrames(config, capture, own.signal)
      try {
        yield* snapshots.values(signal)
      } finally {
        own.stop()
        await calls.stop(new MeshError('unavailable', 'the provider is stopping'))
        await capturing
        await programs.killAll()
      }
    },
    watch: (signal) => queue.events(signal)
  }
}

/** The picture that an input names, else the newest. Throws `invalid_argument` if it is not kept, `unavailable` if there is none at all. */
function frameIn(frames: FrameRing, { frame: id }: JsonObject): Frame {
  const found = id === undefined ? frames.newest() : typeof id === 'string' ? frames.get(id) : undefined
  if (found !== undefined) return found
  if (id === undefined) throw new MeshError('unavailable', 'there is no picture yet')
  throw new MeshError('invalid_argument', 'this picture is not kept any more; ask "get_history" for those that are', {
    frame: id
  })
}

async function* getFrame(frames: FrameRing, input: JsonObject): AsyncGenerator<Uint8Array, JsonObject, void> {
  const frame = frameIn(frames, input)
  yield* piecesOf(frame.jpeg)
  return { ...listed(frame), mediaType: 'image/jpeg', bytes: frame.jpeg.length }
}

function getClip(
  frames: FrameRing,
  init: ClipInit,
  fps: number,
  input: JsonObject,
  signal: AbortSignal
): AsyncGenerator<Uint8Array, JsonObject, void> {
  const { before = 5, after = 0, format = 'mp4' } = input
  if (typeof before !== 'number' || typeof after !== 'number' || before < 0 || after < 0 || after > MAX_AFTER_SECONDS)
    throw new MeshError('invalid_argument', `"before" and "after" are seconds, "after" at most ${MAX_AFTER_SECONDS}`)
  if (format !== 'mp4' && format !== 'mjpeg') throw new MeshError('invalid_argument', '"format" must be mp4 or mjpeg')
  const request = { frame: frameIn(frames, input), beforeMs: before * 1_000, afterMs: after * 1_000, format, fps } as const
  return streamClip(request, init, signal)
}

function getHistory(frames: FrameRing, motions: Motions, input: JsonObject): JsonObject {
  const { since, moving = false, limit = 100 } = input
  const sinceMs = since === undefined ? (frames.list()[0]?.atMs ?? 0) : typeof since === 'string' ? Date.parse(since) : NaN
  if (Number.isNaN(sinceMs)) throw new MeshError('invalid_argument', '"since" must be a time such as 2026-01-31T07:00:00Z')
  if (typeof limit !== 'number' || !(limit >= 1 && limit <= MAX_LISTED_FRAMES))
    throw new MeshError('invalid_argument', `"limit" must be a whole number from 1 to ${MAX_LISTED_FRAMES}`)
  const fitting = frames.list().filter((frame) => frame.atMs >= sinceMs && (moving !== true || frame.moving))
  return {
    since: new Date(sinceMs).toISOString(),
    frames: fitting.slice(-limit).map(listed),
    motions: motions.list(sinceMs).slice(-limit),
    truncated: fitting.length > limit
  }
}

function listed({ id, atMs, score, moving }: Frame): JsonObject {
  return { frame: id, at: new Date(atMs).toISOString(), score, moving }
}

function declare(config: CameraConfig): CapabilityDeclaration {
  return describedBy(config, {
    id: config.id,
    type: 'sensor/camera',
    name: config.id,
    description: 'A camera: pictures, clips, and events when something moves.',
    scope: 'node',
    examples: ['Show me what the camera sees', 'What moved in the last minute?'],
    tools: CAMERA_TOOLS(MAX_AFTER_SECONDS),
    triggers: config.motion === false ? [] : chosenTriggers(CAMERA_TRIGGERS, config.triggers)
  })
}
