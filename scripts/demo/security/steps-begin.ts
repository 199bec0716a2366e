/** Steps until something moves. */
import { mkdir, mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { programProblem } from '../../../src/backends/program-path.ts'
import { showDuration } from '../../../src/cli/output.ts'
import type { JsonObject } from '../../../src/core/invoke.ts'
import { createFleet } from '../fleet.ts'
import { DemoError, check } from '../programs.ts'
import type { StepResult } from '../report.ts'
import { findModel, serveTinyModel } from './language-model.ts'
import { AGENT, CAMERA, configOf, type NodeName } from './nodes.ts'
import { given, momentOf, nodeOf, type SecurityStage } from './stage.ts'
import { STILL_SECONDS, serveVideo } from './video.ts'

const MOTION_MS = (STILL_SECONDS + 20) * 1_000
/** What is to be installed, by program. */
const PACKAGES = { ffmpeg: 'ffmpeg', 'espeak-ng': 'espeak-ng' }

/** Programs of the system, and the folder for what is left. */
export async function prepare(stage: SecurityStage): Promise<StepResult> {
  const startedAt = performance.now()
  const missing: string[] = []
  for (const [program, name] of Object.entries(PACKAGES))
    if ((await programProblem(program, { cwd: tmpdir(), path: process.env['PATH'] ?? '' })) !== undefined) missing.push(name)
  const names = missing.join(' and ')
  check(
    missing.length === 0,
    `${names} must be installed first: apt install ${missing.join(' ')} (Debian), or brew install ${missing.join(' ')} (macOS)`
  )
  const { out } = stage.settings
  stage.out = out === undefined ? await mkdtemp(join(tmpdir(), 'atmosphere-security-')) : resolve(out)
  await mkdir(stage.out, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw new DemoError(`--out ${stage.out}: ${error.code ?? error.message}`)
  })
  return { ms: performance.now() - startedAt, what: `ffmpeg and espeak-ng are there; all that is made goes to ${stage.out}` }
}

/** The server of the language model. */
export async function model(stage: SecurityStage): Promise<StepResult> {
  const { parts, settings } = stage
  const startedAt = performance.now()
  const { llm, model: wanted } = settings
  stage.model = await (llm === undefined ? serveTinyModel(parts) : findModel(llm, wanted, parts.signal))
  return { ms: performance.now() - startedAt, what: `${stage.model.model} answers at ${stage.model.url}` }
}

/** All nodes; with `--late` without the one of the agent. The camera comes last: the film begins when it looks. */
export async function nodes(stage: SecurityStage): Promise<StepResult> {
  const { parts, settings } = stage
  const startedAt = performance.now()
  const { url: llm, model: name } = given(stage.model, 'model')
  const { url: video, ffmpeg } = await serveVideo(parts.programs)
  stage.video = ffmpeg
  parts.report.say(`ffmpeg ${ffmpeg.pid} serves a film at ${video}`)
  const init = { video, llm, model: name, vision: settings.vision, speeches: stage.out }
  stage.fleet = createFleet<NodeName>(parts.programs, { folder: parts.folder, configOf: (node) => configOf(node, init) })
  await start(stage, 'speaker')
  const late = settings.lateSeconds !== undefined
  await Promise.all((late ? (['model'] as const) : (['model', 'guard'] as const)).map((one) => start(stage, one)))
  await start(stage, 'camera')
  const witness = nodeOf(stage, 'speaker').process
  await witness.waitFor(
    (line) =>
      'capability' in line &&
      typeof line.capability === 'object' &&
      line.capability.id === CAMERA &&
      line.capability.status === 'online',
    `picture of ${CAMERA}`
  )
  const what = late ? 'all but the agent are up' : 'all four are up'
  return { ms: performance.now() - startedAt, what: `${what}, and ${CAMERA} sees the film` }
}

/** Starts one, which is told the address of `speaker`. */
async function start(stage: SecurityStage, name: NodeName): Promise<void> {
  const fleet = given(stage.fleet, 'fleet')
  const node = await fleet.start(name, stage.nodes.get('speaker')?.address)
  stage.nodes.set(name, node)
  stage.parts.report.say(`${name.padEnd(7)} process ${node.process.pid}`)
}

/** The camera raises its trigger. */
export async function motion(stage: SecurityStage): Promise<StepResult> {
  const { process } = nodeOf(stage, 'camera')
  const { at: raisedAt, line } = await process.waitFor(
    (line) => line.event === 'trigger' && line.trigger === 'motion_detected',
    'motion',
    { deadlineMs: MOTION_MS }
  )
  check(line.event === 'trigger', 'this is no trigger')
  const payload = line.payload as JsonObject
  const { at, frame } = payload
  check(typeof at === 'string' && typeof frame === 'string', `the event names no picture: ${JSON.stringify(payload)}`)
  stage.motion = { seenAt: momentOf(at), raisedAt, frame, payload }
  stage.parts.report.say(JSON.stringify(payload))
  return { ms: Math.max(0, raisedAt - stage.motion.seenAt), what: `from the picture to the trigger motion_detected of ${CAMERA}` }
}

/** The agent is not there: the event waits at its source, on disk; then the agent comes. */
export async function late(stage: SecurityStage): Promise<StepResult> {
  const { parts, settings } = stage
  const seconds = settings.lateSeconds ?? 0
  const fleet = given(stage.fleet, 'fleet')
  await pause(Math.max(0, given(stage.motion, 'motion').seenAt + seconds * 1_000 - performance.now()), undefined, {
    signal: parts.signal
  })
  const log = await readFile(join(fleet.home('camera'), 'events-out.log'), 'utf8')
  check(log.includes('motion_detected'), 'the event is not in events-out.log of the camera')
  const { letters } = await fleet.ask<{ letters: unknown[] }>('camera', 'dead-letters')
  check(letters.length === 0, `the event is a dead letter: ${JSON.stringify(letters)}`)
  parts.report.say(`${showDuration(seconds * 1_000)} after the motion the event waits in events-out.log of the camera`)
  await start(stage, 'guard')
  return {
    ms: nodeOf(stage, 'guard').readyAt - given(stage.motion, 'motion').seenAt,
    what: `from the motion until ${AGENT} was there`
  }
}
