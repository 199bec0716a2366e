/** Steps from the trigger on: the agent, its speech, and what is left. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { showBytes, showDuration } from '../../../src/cli/output.ts'
import type { AgentAnswer } from '../../../src/http/agent-routes.ts'
import type { AgentTask } from '../../../src/agents/task.ts'
import type { JsonObject } from '../../../src/core/invoke.ts'
import type { MeshStatus } from '../../../src/mesh-api.ts'
import { DEADLINE_MS, check } from '../programs.ts'
import type { StepResult } from '../report.ts'
import { callsOf } from './flow.ts'
import { AGENT, CAMERA, NAMES, USED_TOOLS } from './nodes.ts'
import { given, nodeOf, type SecurityStage } from './stage.ts'
import { WALK_SECONDS } from './video.ts'

/** A large model on a small machine takes its time. */
const AGENT_MS = 600_000
const LOOK_MS = 500
const WAV_HEADER_BYTES = 44
/** Seconds of the clip before the motion, and after it. */
const CLIP = { before: 2, after: WALK_SECONDS + 1 }

/** Waits until the agent has done what the event says, and looks which tools it has used. */
export async function agent(stage: SecurityStage): Promise<StepResult> {
  const fleet = given(stage.fleet, 'fleet')
  const { report, signal } = stage.parts
  const startedAt = given(stage.motion, 'motion').raisedAt
  let shown = 0
  const show = (): void => {
    for (const { line } of callsOf(stage).slice(shown)) {
      shown++
      report.say(`${line.tool.padEnd(12)} ${line.status} after ${showDuration(line.durationMs)}`)
    }
  }
  for (const until = performance.now() + AGENT_MS; ; await pause(LOOK_MS, undefined, { signal })) {
    const { tasks } = await fleet.ask<AgentAnswer>('guard', 'agents', AGENT)
    show()
    const [task] = tasks
    check(
      performance.now() < until,
      `${AGENT} ${task === undefined ? 'was given nothing to do' : 'is not done'} within ${AGENT_MS} ms`
    )
    if (task === undefined || task.state === 'accepted' || task.state === 'running') continue
    if (task.error !== undefined) check(false, `${AGENT} has failed: ${task.error.message}`)
    stage.task = await fleet.ask<AgentTask>('guard', 'agents', AGENT, task.id)
    break
  }
  const used = new Set(callsOf(stage).flatMap(({ line }) => (line.status === 'success' ? [line.tool] : [])))
  const missing = USED_TOOLS.filter((tool) => !used.has(tool))
  check(missing.length === 0, `${AGENT} has not used ${missing.join(', ')}; its last words: ${JSON.stringify(stage.task.result)}`)
  await settled(stage)
  const { steps, toolCalls, tokens } = stage.task.used
  const ms = (callsOf(stage).at(-1)?.at ?? performance.now()) - startedAt
  return {
    ms,
    what: `from the trigger until ${AGENT} was done: ${steps} answers of the model, ${toolCalls} calls, ${tokens} tokens`
  }
}

/** The camera need not keep the event any more: it knows that it is done. */
async function settled(stage: SecurityStage): Promise<void> {
  const fleet = given(stage.fleet, 'fleet')
  for (const until = performance.now() + DEADLINE_MS; ; await pause(LOOK_MS, undefined, { signal: stage.parts.signal })) {
    const { counters } = await fleet.ask<MeshStatus>('camera', 'status')
    if (counters['events.done'] === 1) return
    check(performance.now() < until, 'the camera does not know that its event is done')
  }
}

/** The speaker has said that it has spoken, and its file is speech. */
export async function speech(stage: SecurityStage): Promise<StepResult> {
  const { at, line } = await nodeOf(stage, 'speaker').process.waitFor(
    (line) => line.event === 'trigger' && line.trigger === 'speech_complete',
    'speech_complete'
  )
  check(line.event === 'trigger', 'this is no trigger')
  const { text, file, durationMs } = line.payload as JsonObject
  check(
    typeof text === 'string' && typeof file === 'string' && typeof durationMs === 'number',
    `the event names no file: ${JSON.stringify(line.payload)}`
  )
  stage.spoken = { at, text, file, durationMs }
  const path = join(stage.out, file)
  const wav = await readFile(path)
  check(wav.toString('latin1', 0, 4) === 'RIFF' && wav.toString('latin1', 8, 12) === 'WAVE', `${path} is no WAV file`)
  check(
    wav.subarray(WAV_HEADER_BYTES).some((byte) => byte !== 0),
    `${path} is silent`
  )
  stage.files['speech'] = path
  stage.parts.report.say(JSON.stringify(text))
  const ms = at - given(stage.motion, 'motion').seenAt
  return {
    ms,
    what: `from the motion to speech_complete: ${showDuration(durationMs)} of speech, ${showBytes(wav.length)}`
  }
}

/** Clip, picture and transcript, to look at. */
export async function keep(stage: SecurityStage): Promise<StepResult> {
  const startedAt = performance.now()
  const task = given(stage.task, 'task')
  const { frame } = given(stage.motion, 'motion')
  const looked = frameOf(task) ?? frame
  const [clip, picture] = await Promise.all([
    bytesOf(stage, 'get_clip', [`frame=${frame}`, `before=${CLIP.before}`, `after=${CLIP.after}`]),
    bytesOf(stage, 'get_frame', [`frame=${looked}`])
  ])
  check(clip.toString('latin1', 4, 8) === 'ftyp', 'the clip is no MP4 file')
  check(picture.toString('hex', 0, 2) === 'ffd8', 'the picture is no JPEG file')
  await put(stage, 'clip', 'clip.mp4', clip)
  await put(stage, 'picture', 'picture.jpg', picture)
  await put(stage, 'transcript', 'transcript.txt', transcriptOf(task))
  await put(stage, 'task', 'task.json', `${JSON.stringify(task, null, 2)}\n`)
  const what = `clip of ${showBytes(clip.length)}, picture ${looked} of ${showBytes(picture.length)}, transcript; WAV as it was spoken`
  return { ms: performance.now() - startedAt, what }
}

async function bytesOf({ fleet }: SecurityStage, tool: string, params: string[]): Promise<Buffer> {
  // Another node asks for it, as anybody in the mesh may.
  const call = given(fleet, 'fleet').call('speaker', `${CAMERA}@camera`, tool, ...params.flatMap((param) => ['--param', param]))
  const { line } = await call.waitFor((line) => 'status' in line, 'result', { deadlineMs: 60_000 })
  check('status' in line && line.status === 'success', `${tool} of ${CAMERA} failed: ${JSON.stringify(line)}`)
  const pieces = call.lines.flatMap(({ line }) =>
    'kind' in line && line.kind === 'bytes' ? [Buffer.from(line.base64, 'base64')] : []
  )
  return Buffer.concat(pieces)
}

async function put(stage: SecurityStage, what: string, name: string, content: string | Buffer): Promise<void> {
  stage.files[what] = join(stage.out, name)
  await writeFile(stage.files[what], content)
}

/** The picture that the agent has looked at, as the result of `get_frame` names it. */
function frameOf({ conversation }: AgentTask): string | undefined {
  const results = conversation?.messages.flatMap(({ role, content }) =>
    role === 'tool' && content?.includes('image/jpeg') ? [content] : []
  )
  return /"frame":"([^"]+)"/.exec(results?.at(-1) ?? '')?.[1]
}

/** What was said, by whom. */
function transcriptOf({ conversation }: AgentTask): string {
  return (conversation?.messages ?? [])
    .map((message) => {
      const calls = message.role === 'assistant' ? (message.tool_calls ?? []) : []
      const lines = [message.content ?? '', ...calls.map((call) => `→ ${call.function.name} ${call.function.arguments}`)]
      return `[${message.role}]\n${lines.filter((line) => line !== '').join('\n')}\n`
    })
    .join('\n')
}

/** The nodes are told to end, and their programs end with them. */
export async function stop(stage: SecurityStage): Promise<StepResult> {
  const startedAt = performance.now()
  await Promise.all(
    NAMES.map(async (name) => {
      const { process } = nodeOf(stage, name)
      process.kill('SIGTERM')
      const { code } = await process.ended()
      check(code === 0, `${name} ended with exit code ${code}, not 0`)
    })
  )
  // It has lost its only viewer.
  await given(stage.video, 'film').ended()
  return { ms: performance.now() - startedAt, what: 'all four have ended, exit code 0; so has the film, without its viewer' }
}
