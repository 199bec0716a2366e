/** Backend `speech`: says texts, by espeak-ng. */
import { resolve } from 'node:path'
import type { CapabilityDeclaration, ToolDeclaration, TriggerDeclaration } from '../../protocols/capability.ts'
import { MeshError, abortError } from '../errors.ts'
import type { JsonObject } from '../core/invoke.ts'
import type { ToolContext, ToolHandler } from '../mesh-api.ts'
import type { Backend } from './backend.ts'
import { piecesOf } from './byte-pieces.ts'
import { chosenTriggers, describedBy } from './capability-options.ts'
import { inState } from './capability-state.ts'
import { createProgramGroup, programEnv } from './child-process.ts'
import { createEventQueue } from './event-queue.ts'
import { createHandlerCalls, lookupIn } from './handler-calls.ts'
import { programProblem } from './program-path.ts'
import { createRecheck, discoverBy } from './recheck.ts'
import { MAX_RATE, MIN_RATE, VOICE_PATTERN } from './speech-config.ts'
import type { SpeechConfig } from './speech-config.ts'
import { createSpeechFiles } from './speech-files.ts'
import { listVoices, play, synthesize } from './speech-voice.ts'
import type { Speech, SpeechRequest } from './speech-voice.ts'

/** Longest text, in characters. */
export const MAX_TEXT = 10_000
/** Files that are kept if nothing is given. */
export const DEFAULT_KEEP_FILES = 100
/** Text of an event, in characters: an event has 64 KiB. */
const MAX_EVENT_TEXT = 2_000

const SPOKEN = {
  durationMs: { type: 'integer' },
  voice: { type: 'string' },
  played: { type: 'boolean' },
  file: { type: 'string', description: 'Name of the file that is kept, if one is.' }
}

/** What became of a text, in words. */
const HOW = { played: 'said', silent: 'turned into speech, but not played' }

const TRIGGER: TriggerDeclaration = {
  event: 'speech_complete',
  description: 'Something has been said, or turned into speech.',
  intentTemplate: 'It was {how}: {text}',
  payload: {
    type: 'object',
    required: ['text', 'durationMs'],
    properties: { text: { type: 'string' }, how: { enum: Object.values(HOW) }, ...SPOKEN }
  }
}

/** What the backend needs beside its configuration. */
export interface SpeechInit {
  /** Folder that relative paths start from. */
  baseDir: string
  recheckMs?: number
  /** What the log of the node is to say. */
  log?: (level: 'warn', message: string) => void
}

/** Makes a backend that speaks. */
export function createSpeechBackend(config: SpeechConfig, init: SpeechInit): Backend {
  const id = config.id ?? 'speech'
  const programs = createProgramGroup()
  const speaker = { programs, espeak: config.espeak ?? 'espeak-ng', cwd: init.baseDir }
  const files =
    config.folder === undefined
      ? undefined
      : createSpeechFiles(resolve(init.baseDir, config.folder), { limit: config.keepFiles ?? DEFAULT_KEEP_FILES })
  const declaration = declare(config, id)
  const queue = createEventQueue(id)
  const isRaised = declaration.triggers?.length !== 0
  const turns = createTurns()
  /** Why nothing can be played, as the log has it. */
  let toldSilent: string | undefined

  async function* speak(input: JsonObject, context: ToolContext): AsyncGenerator<Uint8Array, JsonObject, void> {
    const { text, voice = config.voice ?? 'en', rate = config.rate ?? 175 } = input
    const { play: aloud = config.player !== undefined, bytes: wanted = config.player === undefined } = input
    const request = requestOf(text, voice, rate)
    if (aloud === true && config.player === undefined)
      throw new MeshError('unsupported', 'this node has no player; ask for bytes instead')
    const speech = await synthesize(request, speaker, context.signal)
    const file = await files?.keep(speech.wav)
    if (aloud === true) await playInTurn(speech, context)
    if (wanted === true) yield* piecesOf(speech.wav)
    const spoken = {
      durationMs: speech.durationMs,
      voice: request.voice,
      played: aloud === true,
      ...(file === undefined ? {} : { file })
    }
    if (isRaised)
      queue.raise('speech_complete', {
        text: request.text.slice(0, MAX_EVENT_TEXT),
        how: aloud === true ? HOW.played : HOW.silent,
        ...spoken
      })
    return { ...spoken, mediaType: 'audio/wav', bytes: speech.wav.length }
  }

  /** One speech at a time: two at once nobody understands. */
  async function playInTurn(speech: Speech, { signal, progress }: ToolContext): Promise<void> {
    const done = await turns.take(signal)
    try {
      progress(0, speech.durationMs, 'speaking')
      await play(speech, config.player ?? [], speaker, signal)
      progress(speech.durationMs, speech.durationMs)
    } finally {
      done()
    }
  }

  const handlers = new Map<string, ToolHandler>([
    ['speak', speak],
    [
      'list_voices',
      async ({ language = '' }, { signal }) => ({
        voices: (await listVoices(speaker, signal)).filter(({ voice }) => `${voice as string}-`.startsWith(prefixOf(language)))
      })
    ]
  ])
  const calls = createHandlerCalls(lookupIn(id, handlers))
  const recheck = createRecheck(
    async (): Promise<CapabilityDeclaration[]> => {
      const path = programEnv()['PATH'] ?? ''
      const problem = await programProblem(speaker.espeak, { cwd: init.baseDir, path })
      if (problem !== undefined) return inState(declaration, 'offline', problem)
      const [player] = config.player ?? []
      const silent = player === undefined ? undefined : await programProblem(player, { cwd: init.baseDir, path })
      if (silent !== undefined && silent !== toldSilent) init.log?.('warn', `"${id}" plays nothing: ${silent}`)
      toldSilent = silent
      if (silent !== undefined) return inState(declaration, 'degraded', `nothing can be played: ${silent}`)
      return inState(declaration, 'online')
    },
    { everyMs: init.recheckMs }
  )

  return {
    id,
    kind: 'speech',
    call: calls.call,
    discover: (signal) => discoverBy(recheck, calls, signal, () => programs.killAll()),
    watch: (signal) => queue.events(signal)
  }
}

function requestOf(text: unknown, voice: unknown, rate: unknown): SpeechRequest {
  if (typeof text !== 'string' || text.trim() === '' || text.length > MAX_TEXT)
    throw new MeshError('invalid_argument', `"text" must be a text of 1 to ${MAX_TEXT} characters`)
  if (typeof voice !== 'string' || !new RegExp(VOICE_PATTERN).test(voice))
    throw new MeshError('invalid_argument', '"voice" must be a language such as en-gb, or the name of a voice')
  if (typeof rate !== 'number' || !Number.isInteger(rate) || rate < MIN_RATE || rate > MAX_RATE)
    throw new MeshError('invalid_argument', `"rate" must be a whole number from ${MIN_RATE} to ${MAX_RATE}`)
  return { text, voice, rate }
}

function prefixOf(language: unknown): string {
  return typeof language === 'string' && language !== '' ? `${language}-` : ''
}

/** One at a time, in the order in which they came. */
function createTurns(): { take(signal: AbortSignal): Promise<() => void> } {
  let last: Promise<void> = Promise.resolve()
  return {
    async take(signal) {
      const before = last
      let done = (): void => {}
      const own = new Promise<void>((resolve) => (done = resolve))
      last = before.then(() => own)
      let onAbort = (): void => {}
      const aborted = new Promise<void>((resolve) => (onAbort = resolve))
      signal.addEventListener('abort', onAbort)
      if (signal.aborted) onAbort()
      await Promise.race([before, aborted])
      signal.removeEventListener('abort', onAbort)
      if (!signal.aborted) return done
      done()
      throw abortError(signal)
    }
  }
}

function declare(config: SpeechConfig, id: string): CapabilityDeclaration {
  const hasPlayer = config.player !== undefined
  const speak: ToolDeclaration = {
    name: 'speak',
    description: hasPlayer ? 'Says a text aloud here, or gives it as a WAV file.' : 'Gives a spoken text as a WAV file.',
    input: {
      type: 'object',
      additionalProperties: false,
      required: ['text'],
      properties: {
        text: { type: 'string', minLength: 1, maxLength: MAX_TEXT },
        voice: { type: 'string', pattern: VOICE_PATTERN, description: `Default ${config.voice ?? 'en'}.` },
        rate: { type: 'integer', minimum: MIN_RATE, maximum: MAX_RATE, description: 'Words a minute.' },
        ...(hasPlayer ? { play: { type: 'boolean', default: true, description: 'Say it aloud here.' } } : {}),
        bytes: { type: 'boolean', default: !hasPlayer, description: 'Send the WAV file to the caller.' }
      }
    },
    output: { type: 'object', properties: { ...SPOKEN, mediaType: { const: 'audio/wav' }, bytes: { type: 'integer' } } },
    timeoutMs: 600_000,
    streams: true
  }
  const voices: ToolDeclaration = {
    name: 'list_voices',
    description: 'The voices that there are.',
    input: {
      type: 'object',
      additionalProperties: false,
      properties: { language: { type: 'string', description: 'Only these: en, or en-gb.' } }
    },
    output: { type: 'object', properties: { voices: { type: 'array', items: { type: 'object' } } } },
    idempotent: true
  }
  return describedBy(config, {
    id,
    type: 'audio/speech',
    name: 'Speech',
    description: hasPlayer ? 'Says texts aloud.' : 'Turns texts into speech.',
    // Where it is heard matters.
    ...(hasPlayer ? { scope: 'node' as const } : {}),
    examples: ['Say that dinner is ready', 'Read this text aloud'],
    tools: [speak, voices],
    triggers: chosenTriggers([TRIGGER], config.triggers)
  })
}
