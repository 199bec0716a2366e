/** What the demo is told on its command line. */
import { parseArgs } from 'node:util'

/** Longest `--late`, in s: the stream is to be looked at, and not to be waited for. */
const MAX_LATE_SECONDS = 600

/** How it is used. */
export const USAGE = `usage: npm run demo -- [--scenario tour|security] [--json]

  --scenario tour      (default) four nodes find each other, call, stream, cancel, fail over and leave
  --scenario security  a camera sees motion, an agent looks at it, asks a language model, and has something said; with it:
    --late SECONDS     starts the agent only so long after the motion: the event waits for it
    --llm URL          a server of chat completions instead of the built-in model, such as http://127.0.0.1:11434/v1
    --model NAME       the model there; default: the first that it lists
    --vision           that model looks at pictures: it is shown those that the agent gets
    --out DIR          where clip, picture, transcript and speech go; default: a new folder among the temporary files
  --json               one object on stdout at the end; all else goes to stderr`

/** See {@link USAGE}. */
export interface DemoArguments {
  scenario: 'tour' | 'security'
  json: boolean
  help: boolean
  lateSeconds: number | undefined
  llm: string | undefined
  model: string | undefined
  vision: boolean
  out: string | undefined
}

/** Reads them. @throws Error that says what is wrong. */
export function readArguments(args: string[]): DemoArguments {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  const options = {
    scenario: { ...text, default: 'tour' },
    json: flag,
    help: flag,
    late: text,
    llm: text,
    model: text,
    vision: flag,
    out: text
  }
  const { scenario, json, help, late, llm, model, vision, out } = parseArgs({ args, options }).values
  if (scenario !== 'tour' && scenario !== 'security')
    throw new Error(`there is no scenario "${scenario}"; there are tour and security`)
  const only = Object.entries({ late, llm, model, vision: vision || undefined, out }).find(
    ([, value]) => value !== undefined
  )?.[0]
  if (scenario === 'tour' && only !== undefined) throw new Error(`--${only} goes with --scenario security`)
  if (model !== undefined && llm === undefined) throw new Error('--model goes with --llm')
  if (vision && llm === undefined) throw new Error('--vision goes with --llm: the built-in model sees nothing')
  if (llm !== undefined && !/^https?:\/\/./.test(llm))
    throw new Error('--llm must be an address such as http://127.0.0.1:11434/v1')
  const lateSeconds = late === undefined ? undefined : Number(late)
  if (lateSeconds !== undefined && !(late?.trim() !== '' && lateSeconds >= 0 && lateSeconds <= MAX_LATE_SECONDS))
    throw new Error(`--late must be a number of seconds from 0 to ${MAX_LATE_SECONDS}`)
  return { scenario, json, help, lateSeconds, llm, model, vision, out }
}
