import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Backend } from '../../src/backends/backend.ts'
import type { CameraConfig } from '../../src/backends/camera-config.ts'
import { createFrameRing, jpegsOf } from '../../src/backends/camera-frames.ts'
import { GRAY_BYTES, GRAY_WIDTH, createMotionDetector } from '../../src/backends/camera-motion.ts'
import { captureProblem } from '../../src/backends/camera-source.ts'
import { createCameraBackend } from '../../src/backends/camera.ts'
import type { CameraInit } from '../../src/backends/camera.ts'
import type { JsonObject, JsonValue } from '../../src/core/invoke.ts'
import { requireProgram } from '../fixtures/system-program.ts'
import { backendContract, collect, errorOf, invoke, resultOf, run, until } from './contract.ts'
import type { Running } from './contract.ts'
import { watchEvents } from './watched-events.ts'

const SIZE = 'size=320x240:rate=10'
const STILL = `color=c=gray:${SIZE}`
/** Noise, and a white box that crosses the picture from 1 s to 2 s and from 4 s to 5 s, of 8 s. */
const CROSSING = [
  `color=c=gray:${SIZE}:d=8[back]`,
  'color=c=white:size=60x60:rate=10:d=8[box]',
  `[back][box]overlay=x='if(between(mod(t,3),1,2),(mod(t,3)-1)*260,-100)':y=80,noise=all_seed=1:alls=8:allf=t`
].join(';')

/** Processes below this one whose command line has a text. */
async function programs(text: string): Promise<string[]> {
  const found: string[] = []
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (Number(parent) !== process.pid || state === 'Z') continue
    if ((await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes(text)) found.push(pid)
  }
  return found
}

describe('camera backend', () => {
  let folder: string
  let running: Running | undefined

  before(function () {
    requireProgram(this, 'ffmpeg')
  })
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atmo-camera-'))
  })
  afterEach(async () => {
    await running?.stop()
    running = undefined
    assert.deepEqual(await programs('ffmpeg'), [])
    await rm(folder, { recursive: true })
  })

  const make = (config: Partial<CameraConfig> = {}, init: Partial<CameraInit> = {}): Backend =>
    createCameraBackend(
      { kind: 'camera', id: 'door', source: { lavfi: STILL }, fps: 10, ...config },
      { baseDir: folder, backoff: { next: () => 50 }, ...init }
    )
  const start = async (backend: Backend, status = 'online') => {
    running = run(backend)
    return running.snapshot((capability) => capability.status === status)
  }
  const call = (backend: Backend, tool: string, input: JsonValue = {}) => invoke(backend, 'door', tool, input)
  const bytesOf = async (backend: Backend, tool: string, input: JsonValue = {}) => {
    const items = await collect(call(backend, tool, input))
    const last = items.at(-1)
    return {
      bytes: Buffer.concat(items.flatMap((item) => (item.kind === 'bytes' ? [item.bytes] : []))),
      result: (last?.kind === 'result' ? last.value : null) as JsonObject
    }
  }
  /** What ffprobe says of a file: pictures, width, height. */
  const probe = async (bytes: Uint8Array, name: string): Promise<string> => {
    await writeFile(join(folder, name), bytes)
    const what = ['-count_frames', '-show_entries', 'stream=codec_name,width,height,nb_read_frames', '-of', 'csv=p=0']
    return execFileSync('ffprobe', ['-v', 'error', ...what, join(folder, name)], { encoding: 'utf8' }).trim()
  }

  backendContract('camera', () => {
    const since = (n: number): string => new Date(4e12 + n * 1_000).toISOString()
    return {
      backend: make(),
      capability: 'door',
      echo: {
        tool: 'get_history',
        input: (n) => ({ since: since(n) }),
        output: (n) => ({ since: since(n), frames: [], motions: [], truncated: false })
      },
      slow: {
        tool: 'get_clip',
        input: { after: 60 },
        isGone: async () => (await programs('frag_keyframe')).length === 0
      }
    }
  })

  it('tells of motion, the same each time', async () => {
    const told: JsonObject[][] = []
    for (let n = 0; n < 2; n++) {
      const backend = make(
        { source: { lavfi: CROSSING }, motion: { quietMs: 500 }, metadata: { location: 'front door' } },
        { realtime: false, backoff: { next: () => 60_000 } }
      )
      const events = watchEvents(backend)
      running = run(backend)
      const { statusReason, metadata } = await running.snapshot(({ status }) => status === 'offline')
      assert.equal(statusReason, 'the source has ended')
      assert.deepEqual(metadata, { location: 'front door' })
      await until(() => events.events.length >= 4, 'four events')
      told.push(events.events.map(({ event, payload }) => ({ event, ...(payload as JsonObject) })))
      await events.stop()
      await running.stop()
    }
    const shape = (events: JsonObject[]) => events.map(({ event, positionMs, score, box }) => ({ event, positionMs, score, box }))
    assert.deepEqual(shape(told[0]!), shape(told[1]!))
    const [began, ended, again, endedAgain] = told[0]! as [JsonObject, JsonObject, JsonObject, JsonObject]
    assert.deepEqual(
      [began, ended, again, endedAgain].map(({ event }) => event),
      ['motion_detected', 'motion_ended', 'motion_detected', 'motion_ended']
    )
    const near = (value: JsonValue | undefined, wanted: number): void =>
      assert.ok(Math.abs(Number(value) - wanted) <= 300, `${JSON.stringify(value)} is not near ${wanted}`)
    near(began['positionMs'], 1_100)
    near(ended['positionMs'], 2_600)
    near(again['positionMs'], 4_100)
    near(endedAgain['positionMs'], 5_600)
    assert.equal(ended['durationMs'], Number(ended['positionMs']) - Number(began['positionMs']))
    const box = began['box'] as { x: number; y: number; width: number; height: number }
    assert.ok(box.y > 0.3 && box.y < 0.36 && box.height < 0.3 && box.x < 0.3 && box.width < 0.5, JSON.stringify(box))
    assert.ok(Number(began['score']) > 0.01 && Number(ended['score']) >= Number(began['score']))
  })

  it('gives pictures as JPEG, the newest or one that is named', async () => {
    const backend = make({ source: { lavfi: 'testsrc2=size=640x360:rate=10' }, width: 200 })
    await start(backend)
    const { bytes, result } = await bytesOf(backend, 'get_frame')
    assert.deepEqual(Object.keys(result), ['frame', 'at', 'score', 'moving', 'mediaType', 'bytes'])
    assert.equal(result['mediaType'], 'image/jpeg')
    assert.equal(result['bytes'], bytes.length)
    assert.match(await probe(bytes, 'a.jpg'), /^mjpeg,200,112,1/)
    await until(
      async () => ((await resultOf(call(backend, 'get_history'))) as { frames: [] }).frames.length >= 5,
      'five pictures'
    )
    const same = await bytesOf(backend, 'get_frame', { frame: result['frame']! })
    assert.ok(same.bytes.equals(bytes))
    const { frames } = (await resultOf(call(backend, 'get_history', { limit: 2 }))) as { frames: { frame: string; at: string }[] }
    assert.equal(frames.length, 2)
    assert.ok(frames[0]!.at <= frames[1]!.at)
    await errorOf(call(backend, 'get_frame', { frame: 'x-1' }), 'invalid_argument')
  })

  it('gives clips of what was and of what comes', async () => {
    const backend = make({ source: { lavfi: 'testsrc2=size=320x240:rate=10' } })
    await start(backend)
    await until(
      async () => ((await resultOf(call(backend, 'get_history'))) as { frames: [] }).frames.length >= 10,
      'ten pictures'
    )
    const mp4 = await bytesOf(backend, 'get_clip', { before: 0.5, after: 1 })
    assert.equal(mp4.result['mediaType'], 'video/mp4')
    const count = mp4.result['frames'] as number
    assert.ok(count >= 5 && count <= 40, `${count} pictures`)
    assert.match(await probe(mp4.bytes, 'a.mp4'), new RegExp(`^h264,320,240,${count}`))
    const mjpeg = await bytesOf(backend, 'get_clip', { before: 60, format: 'mjpeg' })
    assert.equal(mjpeg.result['mediaType'], 'video/x-motion-jpeg')
    assert.match(await probe(mjpeg.bytes, 'a.mjpeg'), new RegExp(`^mjpeg,320,240,${mjpeg.result['frames'] as number}`))
    await errorOf(call(backend, 'get_clip', { after: 61 }), 'invalid_argument')
    await errorOf(call(backend, 'get_clip', { format: 'gif' }), 'invalid_argument')
  })

  it('plays a file once unless told to go on, waits for one that is not there, and tells that motion has ended', async () => {
    const file = join(folder, 'film.mp4')
    const made = spawnSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=size=320x240:rate=10:d=1', file])
    assert.equal(made.status, 0, made.stderr.toString())
    const backend = make({ source: { file: 'film.mp4' } }, { realtime: false })
    const events = watchEvents(backend)
    await rename(file, `${file}.away`)
    const { statusReason = '' } = await start(backend, 'offline')
    assert.match(statusReason, /No such file/)
    await rename(`${file}.away`, file)
    await running!.snapshot(({ status }) => status === 'online')
    await running!.snapshot(({ statusReason: why }) => why === 'the file has been played to its end')
    await events.next('motion_detected')
    await events.next('motion_ended')
    await events.stop()
  })

  it('starts again when its source ends', async () => {
    await start(make({ source: { lavfi: 'testsrc2=size=320x240:rate=10:d=1' } }, { realtime: false }))
    await running!.snapshot(({ statusReason }) => statusReason === 'the source has ended')
    await running!.snapshot(({ status }) => status === 'online')
  })

  it('says what is wrong, and no address', async () => {
    const reasons: [Partial<CameraConfig>, Partial<CameraInit>, RegExp][] = [
      [{ source: { device: '/dev/no-such-video' } }, {}, /No such file or directory/],
      [{ source: { url: 'rtsp://127.0.0.1:1/stream' } }, {}, /refused/],
      [{ source: { urlEnv: 'DOOR' } }, { env: {} }, /variable DOOR is not set/],
      [{ source: { urlEnv: 'DOOR' } }, { env: { DOOR: '-y' } }, /holds no address/],
      [{ source: { urlEnv: 'DOOR' } }, { env: { DOOR: 'rtsp://me:horse@127.0.0.1:1/x' } }, /refused/],
      [{ ffmpeg: 'no-such-ffmpeg' }, {}, /cannot start "no-such-ffmpeg": not found/],
      [{ ffmpeg: 'sleep' }, {}, /the source has failed/]
    ]
    for (const [config, init, message] of reasons) {
      const { statusReason = '' } = await start(make(config, init), 'offline')
      assert.match(statusReason, message)
      assert.ok(!/horse|127\.0|tcp:/.test(statusReason), statusReason)
      await running!.stop()
    }
    assert.equal(captureProblem(1, 'x\nrtsp://a:b@c/d: 401 Unauthorized\n'), 'the source has failed: (address) 401 Unauthorized')
  })

  it('starts a source anew that sends no pictures', async () => {
    await writeFile(join(folder, 'silent'), '#!/bin/sh\nexec sleep 1000\n', { mode: 0o755 })
    const { statusReason } = await start(make({ ffmpeg: './silent' }, { stallMs: 100 }), 'offline')
    assert.equal(statusReason, 'the source sends no pictures')
  })

  it('has no triggers where motion is not looked for', async () => {
    assert.deepEqual((await start(make({ motion: false }))).triggers, [])
    await running!.stop()
    const { triggers } = await start(make({ triggers: { motion_ended: false, motion_detected: { priority: 'high' } } }))
    assert.deepEqual(
      triggers?.map(({ event, priority }) => [event, priority]),
      [['motion_detected', 'high']]
    )
  })
})

describe('camera pictures', () => {
  const frame = (n: number, size = 10) => ({
    id: String(n),
    atMs: n * 1_000,
    positionMs: n * 1_000,
    score: 0,
    moving: false,
    jpeg: new Uint8Array(size)
  })

  it('are kept for a time, and within a number of bytes', () => {
    const ring = createFrameRing({ seconds: 3, maxBytes: 100 })
    const ids = (): string =>
      ring
        .list()
        .map(({ id }) => id)
        .join()
    for (let n = 0; n < 6; n++) ring.add(frame(n))
    assert.equal(ids(), '2,3,4,5')
    ring.add(frame(6, 85))
    assert.equal(ids(), '5,6')
    ring.add(frame(7, 200))
    assert.equal(ids(), '7')
    assert.equal(ring.get('6'), undefined)
  })

  it('are cut out of a stream wherever it breaks', async () => {
    const jpeg = [0xff, 0xd8, 1, 2, 0xff, 0, 3, 0xff, 0xd9]
    const bytes = Uint8Array.from([...jpeg, ...jpeg, ...jpeg])
    for (let size = 1; size <= bytes.length; size++) {
      const pieces = async function* () {
        for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
      }
      const found: number[][] = []
      for await (const one of jpegsOf(pieces())) found.push([...one])
      assert.deepEqual(found, [jpeg, jpeg, jpeg], `in pieces of ${size}`)
    }
  })

  it('move when enough pixels change enough, often enough', () => {
    const detector = createMotionDetector({ pixel: 10, area: 0.1, frames: 2, quietMs: 300 })
    const gray = (lines: number, value = 10): Uint8Array => new Uint8Array(GRAY_BYTES).fill(value, 0, lines * GRAY_WIDTH)
    const steps = [gray(0), gray(11), gray(12), gray(0), gray(60), gray(0), gray(0), gray(0, 9), gray(0)].map((picture, n) =>
      detector.next(picture, n * 100)
    )
    assert.deepEqual(
      steps.map(({ change }) => change),
      [undefined, undefined, undefined, undefined, 'began', undefined, undefined, undefined, 'ended']
    )
    assert.deepEqual(steps[1]?.box, { x: 0, y: 0, width: 1, height: 0.092 })
    assert.equal(steps[4]?.score, 0.5)
  })
})
