/** espeak-ng as a function: text in, WAV out. */
import { MeshError, abortError } from '../errors.ts'
import type { JsonObject } from '../core/invoke.ts'
import { programEnv } from './child-process.ts'
import type { Program, ProgramGroup } from './child-process.ts'

/** Largest speech, in bytes: about twelve minutes. */
export const MAX_SPEECH_BYTES = 32 * 1024 * 1024
/** Largest list of voices, in bytes. */
const MAX_VOICES_BYTES = 1024 * 1024
const WAV_HEADER_BYTES = 44

/** What is spoken, and how. */
export interface SpeechRequest {
  text: string
  voice: string
  /** Words a minute. */
  rate: number
}

/** A speech. */
export interface Speech {
  /** A WAV file: 16 bits, one channel. */
  wav: Buffer
  durationMs: number
}

/** What speaks. */
export interface SpeakerInit {
  programs: ProgramGroup
  /** The program espeak-ng. */
  espeak: string
  cwd: string
}

/** Speaks a text. Throws `invalid_argument` for a voice that is not there, `too_large`, `tool_failed`, and what the signal aborts with. */
export async function synthesize({ text, voice, rate }: SpeechRequest, init: SpeakerInit, signal: AbortSignal): Promise<Speech> {
  const args = ['-v', voice, '-s', String(rate), '--stdin', '--stdout']
  const { output, exitCode, stderr } = await runProgram(init, args, text, MAX_SPEECH_BYTES, signal)
  if (/voice does not exist/.test(stderr))
    throw new MeshError('invalid_argument', `there is no voice "${voice}"; ask "list_voices" for those that are`, { voice })
  if (exitCode !== 0) throw new MeshError('tool_failed', `espeak-ng failed: ${stderr.split('\n').at(-1) ?? ''}`, { exitCode })
  if (output.length <= WAV_HEADER_BYTES) throw new MeshError('invalid_argument', 'there is nothing to say in this text')
  return withSizes(output)
}

/** The voices that there are. Throws `tool_failed`. */
export async function listVoices(init: SpeakerInit, signal: AbortSignal): Promise<JsonObject[]> {
  const { output, exitCode, stderr } = await runProgram(init, ['--voices'], '', MAX_VOICES_BYTES, signal)
  if (exitCode !== 0) throw new MeshError('tool_failed', `espeak-ng failed: ${stderr}`, { exitCode })
  return readVoices(output.toString())
}

/** Reads the table that `espeak-ng --voices` prints: priority, language, age and gender, name, file. */
export function readVoices(table: string): JsonObject[] {
  return table.split('\n').flatMap((line) => {
    const [, language, gender, name] = /^\s*\d+\s+(\S+)\s+\S*?\/?([MF-])\s+(\S+)/.exec(line) ?? []
    if (language === undefined || name === undefined) return []
    const known: JsonObject = gender === 'M' ? { gender: 'male' } : gender === 'F' ? { gender: 'female' } : {}
    return [{ voice: language, name: name.replaceAll('_', ' '), ...known }]
  })
}

/** What goes to a pipe has sizes in its header that are not true: espeak-ng does not know them when it begins. */
function withSizes(wav: Buffer): Speech {
  const data = wav.indexOf('data', 12, 'latin1')
  if (wav.toString('latin1', 0, 4) !== 'RIFF' || data < 0)
    throw new MeshError('tool_failed', 'espeak-ng gave something that is no WAV file')
  wav.writeUInt32LE(wav.length - 8, 4)
  wav.writeUInt32LE(wav.length - data - 8, data + 4)
  const bytesPerSecond = wav.readUInt32LE(28)
  return { wav, durationMs: Math.round(((wav.length - data - 8) / bytesPerSecond) * 1_000) }
}

/** Plays a speech, by a program that reads it from standard input. Throws `tool_failed`, and what the signal aborts with. */
export async function play(
  speech: Speech,
  command: readonly string[],
  init: Pick<SpeakerInit, 'programs' | 'cwd'>,
  signal: AbortSignal
): Promise<void> {
  const [program = '', ...args] = command
  const { exitCode, stderr } = await runProgram({ ...init, espeak: program }, args, speech.wav, MAX_SPEECH_BYTES, signal)
  if (exitCode === 0) return
  throw new MeshError('tool_failed', `the player "${program}" failed: ${stderr.split('\n').at(-1) ?? ''}`, { exitCode })
}

async function runProgram(
  { programs, espeak: program, cwd }: SpeakerInit,
  args: string[],
  input: string | Uint8Array,
  maxBytes: number,
  signal: AbortSignal
): Promise<{ output: Buffer; exitCode: number | null; stderr: string }> {
  const child: Program = await programs.start({ program, args, env: programEnv(), cwd, stdin: true })
  const onAbort = (): void => void child.kill()
  signal.addEventListener('abort', onAbort)
  try {
    if (signal.aborted) throw abortError(signal)
    child.stdin?.end(input)
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > maxBytes) throw new MeshError('too_large', `"${program}" gives over ${maxBytes} bytes; shorten the text`)
      chunks.push(chunk)
    }
    const { exitCode } = await child.exited
    if (signal.aborted) throw abortError(signal)
    return { output: Buffer.concat(chunks), exitCode, stderr: child.stderr() }
  } catch (error) {
    throw signal.aborted ? abortError(signal) : error
  } finally {
    signal.removeEventListener('abort', onAbort)
    await child.kill()
  }
}
