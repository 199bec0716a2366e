/** A few seconds of a camera as video, from what is kept and, if asked for, from what comes. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { MeshError, abortError } from '../errors.ts'
import type { JsonObject } from '../core/invoke.ts'
import { piecesOf } from './byte-pieces.ts'
import { createOwnSignal } from './own-signal.ts'
import type { Frame, FrameRing } from './camera-frames.ts'
import { programEnv } from './child-process.ts'
import type { ProgramGroup } from './child-process.ts'

/** Longest time that a clip waits for pictures to come, in s. */
export const MAX_AFTER_SECONDS = 60
/** Time that is waited for the last picture of a clip, in ms. */
const LAST_FRAME_MS = 2_000

/** Media types of clips. */
export const CLIP_TYPES = { mp4: 'video/mp4', mjpeg: 'video/x-motion-jpeg' } as const

/** Which clip. */
export interface ClipRequest {
  /** The picture that it is about. */
  frame: Frame
  beforeMs: number
  afterMs: number
  format: keyof typeof CLIP_TYPES
  fps: number
}

/** What clips are made with. */
export interface ClipInit {
  frames: FrameRing
  programs: ProgramGroup
  /** The program ffmpeg. */
  ffmpeg: string
  cwd: string
}

/** Streams the bytes of a clip; the result says what it is. Throws `tool_failed`, and what the signal aborts with. */
export async function* streamClip(
  request: ClipRequest,
  init: ClipInit,
  signal: AbortSignal
): AsyncGenerator<Uint8Array, JsonObject, void> {
  const seen = { frames: 0, fromMs: request.frame.atMs, toMs: request.frame.atMs, bytes: 0 }
  const pictures = clipFrames(request, init.frames, seen, signal)
  const output = request.format === 'mjpeg' ? pictures : encode(pictures, request.fps, init, signal)
  for await (const bytes of output) {
    seen.bytes += bytes.length
    yield* piecesOf(bytes)
  }
  if (signal.aborted) throw abortError(signal)
  return {
    mediaType: CLIP_TYPES[request.format],
    frames: seen.frames,
    from: new Date(seen.fromMs).toISOString(),
    to: new Date(seen.toMs).toISOString(),
    bytes: seen.bytes
  }
}

async function* clipFrames(
  { frame, beforeMs, afterMs }: ClipRequest,
  ring: FrameRing,
  seen: { frames: number; fromMs: number; toMs: number },
  signal: AbortSignal
): AsyncGenerator<Uint8Array, void, void> {
  const isIn = ({ atMs }: Frame): boolean => atMs >= frame.atMs - beforeMs && atMs <= frame.atMs + afterMs
  const take = ({ atMs, jpeg }: Frame): Uint8Array => {
    if (seen.frames++ === 0) seen.fromMs = atMs
    seen.toMs = atMs
    return jpeg
  }
  const own = createOwnSignal(signal)
  // A camera that is gone sends no picture that would end the clip.
  const timer = setTimeout(own.stop, Math.max(0, frame.atMs + afterMs - Date.now()) + LAST_FRAME_MS)
  try {
    const kept = [...ring.list()]
    const live = ring.live(own.signal)
    // The first read is what begins to listen: nothing may come between it and the list.
    let next = live.next()
    for (const one of kept) if (isIn(one)) yield take(one)
    if ((kept.at(-1)?.atMs ?? 0) >= frame.atMs + afterMs) return
    for (let step = await next; step.done !== true; step = await next) {
      if (step.value.atMs > frame.atMs + afterMs) return
      yield take(step.value)
      next = live.next()
    }
  } finally {
    clearTimeout(timer)
    own.stop()
  }
}

async function* encode(
  pictures: AsyncIterable<Uint8Array>,
  fps: number,
  init: ClipInit,
  signal: AbortSignal
): AsyncGenerator<Uint8Array, void, void> {
  const rate = String(fps)
  const args = [
    ...['-hide_banner', '-v', 'error', '-probesize', '32', '-f', 'mjpeg', '-framerate', rate, '-i', 'pipe:0'],
    ...['-c:v', 'libx264', '-preset', 'veryfast', '-tune', 'zerolatency', '-pix_fmt', 'yuv420p', '-r', rate],
    ...['-vf', 'scale=out_range=tv,crop=trunc(iw/2)*2:trunc(ih/2)*2', '-g', String(Math.max(1, Math.ceil(fps)))],
    ...['-movflags', 'frag_keyframe+empty_moov+default_base_moof', '-f', 'mp4', 'pipe:1']
  ]
  const program = await init.programs.start({ program: init.ffmpeg, args, env: programEnv(), cwd: init.cwd, stdin: true })
  const onAbort = (): void => void program.kill()
  signal.addEventListener('abort', onAbort)
  const feeding = new AbortController()
  const fed = pipeline(Readable.from(pictures, { highWaterMark: 1 }), program.stdin!, { signal: feeding.signal }).catch(() => {})
  try {
    if (signal.aborted) throw abortError(signal)
    for await (const chunk of program.stdout) yield chunk as Uint8Array
    const { exitCode } = await program.exited
    if (signal.aborted) throw abortError(signal)
    if (exitCode !== 0) {
      const last = program.stderr().split('\n').at(-1) ?? ''
      throw new MeshError('tool_failed', `ffmpeg cannot make the clip: ${last.slice(0, 300)}`, { exitCode })
    }
  } catch (error) {
    throw signal.aborted ? abortError(signal) : error
  } finally {
    signal.removeEventListener('abort', onAbort)
    feeding.abort()
    await program.kill()
    await fed
  }
}
