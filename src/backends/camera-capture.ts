/** Keeps one ffmpeg running for the pictures of a camera, and starts it again when it ends. */
import { createMotionDetector } from './camera-motion.ts'
import { GRAY_BYTES } from './camera-motion.ts'
import type { MotionStep } from './camera-motion.ts'
import { blocksOf, jpegsOf } from './camera-frames.ts'
import type { Frame } from './camera-frames.ts'
import type { CameraConfig } from './camera-config.ts'
import { DEFAULT_FPS, SOURCE_ENDED, captureArguments, captureProblem } from './camera-source.ts'
import type { CameraSourceInit } from './camera-source.ts'
import { programEnv } from './child-process.ts'
import type { ProgramGroup } from './child-process.ts'
import { createBackoff, delay } from './restart-delay.ts'
import type { Backoff } from './restart-delay.ts'

/** A source that sends no picture for so long is started again, in ms; slow ones get the time of ten pictures. */
export const STALL_MS = 15_000

/** Pictures of one output that wait for those of the other. */
const MAX_UNPAIRED = 64

/** What a capture needs. */
export interface CaptureInit extends CameraSourceInit {
  programs: ProgramGroup
  /** Unique start of the ids of pictures. */
  prefix: string
  onFrame(frame: Frame, step: MotionStep): void
  /** `problem`: why there are no pictures now. Undefined: there are. */
  onState(problem: string | undefined): void
  /** The source has ended: what moved is seen no more. */
  onEnd(): void
  now?: () => number
  backoff?: Backoff
  stallMs?: number
}

/** Runs until the signal aborts; then no program runs any more. Never throws. */
export async function captureFrames(config: CameraConfig, init: CaptureInit, signal: AbortSignal): Promise<void> {
  const { backoff = createBackoff() } = init
  const count = { frames: 0 }
  while (!signal.aborted) {
    const startedAt = performance.now()
    const problem = await captureOnce(config, init, count, signal).catch((error: unknown) => (error as Error).message)
    init.onEnd()
    if (signal.aborted) return
    if (problem === SOURCE_ENDED && isPlayedOnce(config)) {
      init.onState('the file has been played to its end')
      return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    }
    init.onState(problem)
    await delay(backoff.next(performance.now() - startedAt), signal)
  }
}

function isPlayedOnce({ source }: CameraConfig): boolean {
  return 'file' in source && source.file !== undefined && source.loop !== true
}

/** One run of ffmpeg. Returns why it ended. */
async function captureOnce(
  config: CameraConfig,
  init: CaptureInit,
  count: { frames: number },
  signal: AbortSignal
): Promise<string> {
  const { now = Date.now, programs, prefix } = init
  const { fps = DEFAULT_FPS, motion } = config
  const spec = {
    program: config.ffmpeg ?? 'ffmpeg',
    args: captureArguments(config, init),
    env: programEnv(),
    cwd: init.baseDir,
    stdin: false,
    secondOutput: true
  }
  const program = await programs.start(spec)
  const onAbort = (): void => void program.kill()
  signal.addEventListener('abort', onAbort)
  const stallMs = init.stallMs ?? Math.max(STALL_MS, 10_000 / fps)
  let stalled = false
  const onStall = (): void => {
    stalled = true
    void program.kill()
  }
  let timer = setTimeout(onStall, stallMs)
  try {
    if (signal.aborted) return ''
    const detector = motion === false ? undefined : createMotionDetector(motion)
    // Both outputs have the same pictures, but ffmpeg may be ahead with either: both are read at once, and paired.
    const grays: Uint8Array[] = []
    const jpegs: Uint8Array[] = []
    let position = 0
    const pair = (): void => {
      if (grays.length > MAX_UNPAIRED || jpegs.length > MAX_UNPAIRED) throw new Error('the two outputs of ffmpeg fell apart')
      if (grays.length === 0 || jpegs.length === 0) return
      clearTimeout(timer)
      timer = setTimeout(onStall, stallMs)
      const [gray, jpeg] = [grays.shift()!, jpegs.shift()!]
      const positionMs = Math.round((position++ * 1_000) / fps)
      const step = detector?.next(gray, positionMs) ?? { score: 0, box: undefined, moving: false, change: undefined }
      const id = `${prefix}-${count.frames++}`
      init.onFrame({ id, atMs: now(), positionMs, score: step.score, moving: step.moving, jpeg }, step)
      if (position === 1) init.onState(undefined)
    }
    const reading = [
      collect(blocksOf(program.stdout, GRAY_BYTES), grays, pair),
      collect(jpegsOf(program.secondOutput!), jpegs, pair)
    ]
    try {
      await Promise.all(reading)
    } catch (error) {
      await program.kill()
      await Promise.allSettled(reading)
      throw error
    }
    const { exitCode } = await program.exited
    return stalled ? 'the source sends no pictures' : captureProblem(exitCode, program.stderr())
  } catch (error) {
    // Reading fails when the program is ended by us.
    return stalled ? 'the source sends no pictures' : `the source has failed: ${(error as Error).message}`
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
    await program.kill()
  }
}

async function collect(pictures: AsyncIterable<Uint8Array>, into: Uint8Array[], pair: () => void): Promise<void> {
  for await (const picture of pictures) {
    into.push(picture)
    pair()
  }
}
