/** How ffmpeg is asked for the pictures of a camera, and what it says when there are none. */
import { resolve } from 'node:path'
import { MeshError } from '../errors.ts'
import type { CameraConfig, CameraSource } from './camera-config.ts'
import { GRAY_HEIGHT, GRAY_WIDTH } from './camera-motion.ts'
import { secretVariable } from './secret-source.ts'
import type { SecretInit } from './secret-source.ts'

/** Pictures a second if none are given. */
export const DEFAULT_FPS = 5

/** What sources need beside their configuration. */
export interface CameraSourceInit extends SecretInit {
  /** False: files and filters are read as fast as they can be, in tests. */
  realtime?: boolean
}

/**
 * Arguments of ffmpeg for one source and two outputs from the same pictures: small gray ones on descriptor 1, JPEGs on descriptor 3.
 * Throws `unavailable` if a variable is not set.
 */
export function captureArguments(config: CameraConfig, init: CameraSourceInit): string[] {
  const { fps = DEFAULT_FPS, width = 640, quality = 5 } = config
  const small = `scale=${GRAY_WIDTH}:${GRAY_HEIGHT}:flags=area,format=gray`
  const graph = [
    `[0:v:0]fps=${fps},split=2[one][two]`,
    `[one]${small}[gray]`,
    `[two]scale='trunc(min(${width},iw)/2)*2':-2,format=yuvj420p[jpeg]`
  ]
  return [
    ...['-hide_banner', '-nostdin', '-v', 'error'],
    ...inputArguments(config.source, fps, init),
    ...['-an', '-sn', '-dn', '-filter_complex', graph.join(';')],
    ...['-map', '[gray]', '-f', 'rawvideo', 'pipe:1'],
    ...['-map', '[jpeg]', '-c:v', 'mjpeg', '-q:v', String(quality), '-f', 'mjpeg', 'pipe:3']
  ]
}

function inputArguments(source: CameraSource, fps: number, init: CameraSourceInit): string[] {
  const pace = init.realtime === false ? [] : ['-re']
  if (source.lavfi !== undefined) return [...pace, '-f', 'lavfi', '-i', source.lavfi]
  if (source.device !== undefined) return ['-f', 'v4l2', '-framerate', String(Math.max(fps, 5)), '-i', source.device]
  if (source.file !== undefined) {
    const loop = source.loop === true ? ['-stream_loop', '-1'] : []
    return [...pace, ...loop, '-i', `file:${resolve(init.baseDir, source.file)}`]
  }
  const url = source.url ?? variable(source.urlEnv ?? '', init)
  return url.startsWith('rtsp') ? ['-rtsp_transport', 'tcp', '-i', url] : ['-i', url]
}

function variable(name: string, init: CameraSourceInit): string {
  const value = secretVariable(name, init)
  // What it holds becomes an argument of a program.
  if (!/^(rtsps?|https?):\/\//.test(value))
    throw new MeshError('unavailable', `the variable ${name} holds no address that begins with rtsp:// or http://`)
  return value
}

/** What {@link captureProblem} says of a source that has come to its end. */
export const SOURCE_ENDED = 'the source has ended'

/** Why ffmpeg ended, for people: its last words without addresses, which may have a password. */
export function captureProblem(exitCode: number | null, stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '')
  const last = (lines.at(-1) ?? '').replace(/\b[a-z0-9+]+:\/\/\S+/gi, '(address)').trim()
  if (exitCode === 0) return SOURCE_ENDED
  return last === '' ? 'the source has failed' : `the source has failed: ${last.slice(0, 300)}`
}
