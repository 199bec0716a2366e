/** Asks a program that may be a server of AI models, or anything else: in bounded time, for bounded bytes, without following it elsewhere. */
import { readAtMost } from '../../protocols/bytes-at-most.ts'
import type { JsonObject, JsonValue } from '../../protocols/json.ts'
import { MeshError, abortError } from '../errors.ts'
import { PROGRAM } from '../version.ts'
import { httpRequest } from './http-request.ts'
import { readSecret } from './secret-source.ts'

/** Time to connect to a program of this machine, in ms. */
const CONNECT_MS = 500
/** Time until it begins to answer, and from one piece to the next, in ms. */
const ANSWER_MS = 1_000
/** Time for one whole answer, in ms. */
const WHOLE_MS = 3_000
/** Largest answer, in bytes: LlamaFarm lists projects with all of their configurations. */
export const MAX_REPLY_BYTES = 4 * 1024 * 1024
/** Most facts that are kept of one address; past it all are asked for anew. */
export const MAX_MEMORY = 1_024
/** Deepest JSON that is looked at. */
const MAX_DEPTH = 64

/** What came back. */
export interface ProbeReply {
  status: number
  headers: Headers
  text: string
  /** What it holds, if it is JSON and says so. */
  json: JsonValue | undefined
}

/** Why there is no answer. `refused`: nobody listens. `a node`: what it offers is of the mesh already, perhaps even of this node. */
export type ProbeFault = 'refused' | 'a node' | 'late' | 'too large' | 'broken'

/** Thrown where there is no answer. */
export class ProbeError extends Error {
  readonly fault: ProbeFault

  constructor(fault: ProbeFault) {
    super(
      {
        refused: 'nobody listens there',
        'a node': 'it is a node of Atmosphere',
        late: 'it does not answer in time',
        'too large': `it answers with more than ${MAX_REPLY_BYTES} bytes`,
        broken: 'it ends the connection'
      }[fault]
    )
    this.name = 'ProbeError'
    this.fault = fault
  }
}

/** Questions to one address; each is asked once, however often it is needed. */
export interface Probe {
  /** Without a slash at its end. */
  readonly url: string
  /** Facts that do not change, kept from one look to the next. */
  readonly memory: Map<string, JsonValue>
  /** @throws ProbeError, MeshError `unavailable` for a key that is not there, and what the signal aborts with. */
  get(path: string): Promise<ProbeReply>
  /** Asks anew each time. @throws as `get`. */
  post(path: string, body: JsonObject): Promise<ProbeReply>
}

/** Which address. */
export interface ProbeInit {
  url: string
  memory: Map<string, JsonValue>
  /** Variable that holds the key for it: only servers that the configuration names have one. */
  apiKeyEnv?: string
  env?: Record<string, string | undefined>
  /** Told to whoever is asked. */
  userAgent: string
  signal: AbortSignal
}

/** Makes a {@link Probe}. */
export function createProbe({ url, memory, apiKeyEnv, env, userAgent, signal }: ProbeInit): Probe {
  const asked = new Map<string, Promise<ProbeReply>>()
  if (memory.size > MAX_MEMORY) memory.clear()

  async function send(method: 'GET' | 'POST', path: string, body?: JsonObject): Promise<ProbeReply> {
    const key = await readSecret({ variable: apiKeyEnv, file: undefined }, { baseDir: '.', env })
    const late = AbortSignal.timeout(WHOLE_MS)
    try {
      const answer = await httpRequest(`${url}${path}`, {
        method,
        headers: {
          accept: 'application/json, text/plain;q=0.5',
          'user-agent': userAgent,
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(key !== undefined && { authorization: `Bearer ${key}` })
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        times: { connectMs: CONNECT_MS, firstByteMs: ANSWER_MS, idleMs: ANSWER_MS },
        signal: AbortSignal.any([signal, late])
      })
      const bytes = await readAtMost(answer.body, MAX_REPLY_BYTES, () => new ProbeError('too large'))
      if (answer.headers.get('server') === PROGRAM) throw new ProbeError('a node')
      const text = new TextDecoder().decode(bytes)
      return { status: answer.status, headers: answer.headers, text, json: jsonOf(answer.headers, text) }
    } catch (error) {
      if (signal.aborted) throw abortError(signal)
      if (error instanceof ProbeError) throw error
      throw new ProbeError(faultOf(error, late.aborted))
    }
  }

  return {
    url,
    memory,
    get(path) {
      const before = asked.get(path)
      if (before !== undefined) return before
      const reply = send('GET', path)
      // Who asks later is told as well; nobody may be waiting now.
      reply.catch(() => {})
      asked.set(path, reply)
      return reply
    },
    post: (path, body) => send('POST', path, body)
  }
}

/** A page of HTML answers 200 to anything on some servers: only what says that it is JSON is read as such. */
function jsonOf(headers: Headers, text: string): JsonValue | undefined {
  if (!/^application\/(json|[a-z0-9.-]+\+json)\b/i.test(headers.get('content-type') ?? '')) return undefined
  try {
    const value = JSON.parse(text) as JsonValue
    return isShallow(value, MAX_DEPTH) ? value : undefined
  } catch {
    return undefined
  }
}

function isShallow(value: JsonValue, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  return levels > 0 && Object.values(value).every((one) => isShallow(one, levels - 1))
}

function faultOf(error: unknown, late: boolean): ProbeFault {
  if (late || (error instanceof MeshError && ['deadline_exceeded', 'unavailable'].includes(error.code))) return 'late'
  return (error as { code?: string }).code === 'ECONNREFUSED' ? 'refused' : 'broken'
}
