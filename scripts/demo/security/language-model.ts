/** The language model of the scenario: a tiny one of our own in llama.cpp, or any server of chat completions. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { showBytes, showDuration } from '../../../src/cli/output.ts'
import { DemoError, check } from '../programs.ts'
import type { ScenarioParts } from '../scenario.ts'
import { writeModel } from './gguf.ts'
import { installLlama } from './llama-install.ts'

/** Name of the model that this writes. */
export const TINY_MODEL = 'which-word-follows-which'

/** Told beside whatever the tiny model has done. */
export const TINY_NOTE = [
  'The model knows nothing: its weights say which word follows which in eight sentences. That a call or a sentence is well formed comes',
  'from a grammar; which tool, which picture and which words, from chance by these weights. With --llm URL one that can decide takes its place.'
]

/** What the model may say, word by word. */
export const SENTENCES = [
  'Attention, somebody walks past the front door.',
  'Attention, somebody is at the front door.',
  'Somebody walks past the house.',
  'Somebody is at the front door.',
  'Please look at the picture of the front door.',
  'Please look who is at the front door.',
  'The camera has seen somebody at the front door.',
  'The camera has seen that somebody walks past the house.'
]

/** Who speaks before having looked has nothing to say. */
const LAST_TOOL = '__speak'
const LOAD_MS = 60_000

/** A server of chat completions that answers. */
export interface LanguageModel {
  /** Up to `/chat/completions`. */
  url: string
  model: string
}

/** Writes the model and serves it with llama.cpp. @throws DemoError. */
export async function serveTinyModel({ programs, folder, report }: ScenarioParts): Promise<LanguageModel> {
  const entry = await installLlama(programs, (text) => report.say(text))
  const path = join(folder, `${TINY_MODEL}.gguf`)
  const bytes = writeModel(SENTENCES)
  await writeFile(path, bytes)
  report.say(
    `${TINY_MODEL}.gguf is written: ${showBytes(bytes.length)}, one layer, from ${SENTENCES.length} sentences; it knows nothing`
  )
  const startedAt = performance.now()
  const script = join(import.meta.dirname, 'llama-server.ts')
  const args = ['--import', import.meta.resolve('tsx'), script, entry, path, TINY_MODEL, LAST_TOOL]
  const server = programs.start<LanguageModel>('llama.cpp', args)
  const { at, line } = await server.waitFor(() => true, 'answer', { deadlineMs: LOAD_MS })
  report.say(`llama.cpp has loaded it in ${showDuration(at - startedAt)} and answers at ${line.url}`)
  return line
}

/** Looks whether a server is there, and which models it has. @throws DemoError that says what is wrong. */
export async function findModel(url: string, wanted: string | undefined, signal: AbortSignal): Promise<LanguageModel> {
  const base = url.replace(/\/+$/, '')
  let known: string[]
  try {
    const response = await fetch(`${base}/models`, { signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]) })
    if (!response.ok) throw new Error(`status ${response.status}`)
    const { data } = (await response.json()) as { data?: { id: string }[] }
    known = (data ?? []).map(({ id }) => id)
  } catch (error) {
    const { cause, message } = error as Error & { cause?: { code?: string } }
    throw new DemoError(`${base}/models does not answer as a server of chat completions does: ${cause?.code ?? message}`)
  }
  const model = wanted ?? known[0]
  check(model, `${base} lists no model; name one with --model`)
  return { url: base, model }
}
