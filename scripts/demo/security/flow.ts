/** From motion to speech: what happened when, as the nodes themselves have told it. */
import type { MeshEvent } from '../../../src/mesh-api.ts'
import { showDuration } from '../../../src/cli/output.ts'
import type { Timed } from '../programs.ts'
import type { FlowRow } from '../report.ts'
import { CAMERA } from './nodes.ts'
import { momentOf, type SecurityStage } from './stage.ts'

/** A call that the agent has made. */
export type MadeCall = Extract<MeshEvent, { event: 'call:end' }>

/** Calls of the agent, in their order. */
export function callsOf({ nodes }: SecurityStage): Timed<MadeCall>[] {
  return (nodes.get('guard')?.process.lines ?? []).filter(
    (timed): timed is Timed<MadeCall> => timed.line.event === 'call:end' && timed.line.direction === 'out'
  )
}

/** What is known of it, also if it did not come to its end. */
export function flowOf(stage: SecurityStage): FlowRow[] {
  const { motion, task, spoken, nodes, settings } = stage
  if (motion === undefined) return []
  const rows: FlowRow[] = []
  const add = (at: number, step: string, node: string, what: string, tookMs?: number): void =>
    void rows.push({ atMs: Math.max(0, at - motion.seenAt), ...(tookMs !== undefined && { tookMs }), step, node, what })
  const { score } = motion.payload
  add(
    motion.seenAt,
    'motion',
    'camera',
    `picture ${motion.frame}, ${Math.round(Number(score) * 1_000) / 10} % of it is other than before`
  )
  add(motion.raisedAt, 'trigger', 'camera', `motion_detected of ${CAMERA}`)
  const guard = nodes.get('guard')
  if (settings.lateSeconds !== undefined && guard !== undefined) add(guard.readyAt, 'late start', 'guard', 'the agent is there')
  const event = task?.intent.kind === 'event' ? task.intent.event : undefined
  if (task !== undefined && event !== undefined) add(momentOf(task.at), 'intent', 'guard', event.intent)
  const answers = (task?.conversation?.messages ?? []).filter((message) => message.role === 'assistant')
  for (const { at, line } of callsOf(stage)) {
    const { tool, status, durationMs, code } = line
    const isModel = tool === 'chat'
    const answer = isModel && status === 'success' ? answers.shift() : undefined
    const calls = answer?.tool_calls ?? []
    const wants = calls.map(({ function: { name, arguments: given } }) => `${nameOf(name)} ${given}`).join(', ')
    const what = status === 'error' ? `failed: ${code ?? ''}` : isModel ? `wants ${wants || 'nothing more'}` : 'answered'
    add(at - durationMs, isModel ? 'model' : tool, isModel ? 'model' : tool === 'speak' ? 'speaker' : 'camera', what, durationMs)
    for (const { function: one } of calls)
      if (nameOf(one.name) === 'speak') add(at, 'decision', 'guard', `to say ${textOf(one.arguments)}`)
    if (answer !== undefined && calls.length === 0) add(at, 'handled', 'guard', `its last words: ${answer.content ?? ''}`)
  }
  if (spoken !== undefined) {
    add(spoken.at, 'speech_complete', 'speaker', `${showDuration(spoken.durationMs)} of speech in ${spoken.file}`)
  }
  return rows.sort((a, b) => a.atMs - b.atMs)
}

/** Of `door-camera_camera__get_frame_1a2b3c4d` the name of the tool. */
function nameOf(name: string): string {
  return /__([a-z_]+?)(_[0-9a-f]{8})?$/.exec(name)?.[1] ?? name
}

function textOf(given: string): string {
  try {
    return JSON.stringify((JSON.parse(given) as { text?: unknown }).text)
  } catch {
    return given
  }
}
