/** The scenario `security`: motion → trigger → intent → agent → get_history, get_frame → model → decision → speak → speech_complete. */
import type { DemoArguments } from '../arguments.ts'
import type { Scenario, ScenarioStep } from '../scenario.ts'
import type { StepResult } from '../report.ts'
import { flowOf } from './flow.ts'
import { TINY_MODEL, TINY_NOTE } from './language-model.ts'
import { late, model, motion, nodes, prepare } from './steps-begin.ts'
import { agent, keep, speech, stop } from './steps-end.ts'
import type { SecurityStage } from './stage.ts'

/** Time for all of it, in ms: a first run may have to fetch llama.cpp, and a large model takes its time. */
const LIMIT_MS = 20 * 60_000

/** Makes it as the command line says. */
export function createSecurity(settings: DemoArguments): Scenario {
  const { llm, lateSeconds } = settings
  const brain =
    llm === undefined
      ? `serves ${TINY_MODEL}, a tiny model in llama.cpp, by the backend openai-chat`
      : `serves the model of ${llm}`
  return {
    title: 'a camera, an agent, a language model and a speaker, each a node and a process of its own, on loopback only',
    cast: [
      ['camera', 'sees a film that ffmpeg serves over HTTP; somebody walks through it'],
      ['guard', 'is the agent that is told of motion: declared, with three tools of the mesh'],
      ['model', brain],
      ['speaker', 'speaks with espeak-ng, into a WAV file']
    ],
    limitMs: LIMIT_MS + (lateSeconds ?? 0) * 1_000,
    open(parts) {
      const stage: SecurityStage = { parts, settings, out: '', nodes: new Map(), files: {} }
      const step = (name: string, title: string, act: (stage: SecurityStage) => Promise<StepResult>): ScenarioStep => ({
        name,
        title,
        run: () => act(stage)
      })
      return {
        steps: [
          step('programs', 'What it needs', prepare),
          step('model', 'A language model is served', model),
          step('nodes', lateSeconds === undefined ? 'Four nodes start' : 'Three nodes start; the agent is not there', nodes),
          step('motion', 'Somebody walks past the front door', motion),
          ...(lateSeconds === undefined ? [] : [step('late', `The agent starts ${lateSeconds} s after the motion`, late)]),
          step('agent', 'The agent sees to it', agent),
          step('speech', 'It was said', speech),
          step('keep', 'What is left to look at and to hear', keep),
          step('stop', 'The nodes are stopped', stop)
        ],
        conclude() {
          const flow = flowOf(stage)
          const files = Object.entries(stage.files).map(([what, path]) => `${what.padEnd(10)}  ${path}`)
          if (flow.length > 0) parts.report.flow(flow, [...files, ...(llm === undefined ? ['', ...TINY_NOTE] : []), ''])
          const { url, model: name } = stage.model ?? {}
          return {
            scenario: 'security',
            lateSeconds,
            model: { url, name, knowsNothing: llm === undefined },
            out: stage.out,
            files: stage.files,
            flow
          }
        }
      }
    }
  }
}
