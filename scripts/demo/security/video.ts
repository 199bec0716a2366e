/** The video that the camera sees: made by ffmpeg, and served by it over HTTP, as network cameras serve theirs. */
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { Program, Programs } from '../programs.ts'

/** Nothing moves for so long after the camera has connected, in s. */
export const STILL_SECONDS = 5
/** Somebody walks through the picture in so many seconds. */
export const WALK_SECONDS = 5

const [WIDTH, HEIGHT, RATE] = [640, 360, 25]

/** A wall with a door; somebody in dark clothes comes from the left, walks past it, and is gone. */
function graph(): string {
  const box = (x: number, y: number, width: number, height: number, color: string): string =>
    `drawbox=x=${x}:y=${y}:w=${width}:h=${height}:color=${color}:t=fill`
  const wall = `color=c=0xb0a898:size=${WIDTH}x${HEIGHT}:rate=${RATE},${box(0, 310, WIDTH, 50, '0x706858')}`
  const door = `${box(270, 90, 110, 220, '0x6b4226')},${box(358, 196, 10, 10, '0xd8c060')}`
  const body = `color=c=0x202838:size=60x150:rate=${RATE}`
  const head = `color=c=0xe0b090:size=34x34:rate=${RATE}`
  const x = (offset: number): string => `'-100+${offset}+(t-${STILL_SECONDS})*${(WIDTH + 200) / WALK_SECONDS}'`
  const walks = `enable='between(t,${STILL_SECONDS},${STILL_SECONDS + WALK_SECONDS})'`
  return [
    `${wall},${door}[scene]`,
    `${body}[body]`,
    `${head}[head]`,
    `[scene][body]overlay=x=${x(0)}:y=160:${walks}[one]`,
    `[one][head]overlay=x=${x(13)}:y=124:${walks}`
  ].join(';')
}

/** Starts ffmpeg, which waits for the camera; the film begins when it has connected. */
export async function serveVideo(programs: Programs): Promise<{ url: string; ffmpeg: Program<never> }> {
  const url = `http://127.0.0.1:${await freePort()}/door`
  const args = [
    ...['-hide_banner', '-nostdin', '-v', 'error', '-re', '-f', 'lavfi', '-i', graph()],
    ...['-c:v', 'mjpeg', '-q:v', '4', '-f', 'mpjpeg'],
    ...['-content_type', 'multipart/x-mixed-replace;boundary=ffmpeg', '-listen', '1', url]
  ]
  return { url, ffmpeg: programs.start<never>('ffmpeg', args, { command: 'ffmpeg', silent: true }) }
}

/** ffmpeg cannot choose one by itself and say which. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
