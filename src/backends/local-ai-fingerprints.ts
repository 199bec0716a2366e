/**
 * The servers of AI models that are known, as data: where they usually listen, and which of their answers show what they are. Never the port alone:
 * 8000 and 8080 belong to four of them each, and to any other program. Sources: docs/guides/local-ai.md.
 */
import type { JsonValue } from '../../protocols/json.ts'
import type { NAMED_ENGINES } from './local-ai-config.ts'
import { isObject, objectsIn } from './local-ai-model.ts'
import type { FoundModel } from './local-ai-model.ts'
import { listKokoro, listLocalAi, listLlamaCpp, listOpenAi, listSpeaches, listVllm, listWhisperCpp } from './local-ai-listings.ts'
import { listLlamaFarm } from './local-ai-llamafarm.ts'
import { listLmStudio } from './local-ai-lm-studio.ts'
import { listOllama } from './local-ai-ollama.ts'
import type { Probe, ProbeReply } from './local-ai-probe.ts'
import { listUniversalRuntime } from './local-ai-universal.ts'

/** The engine of a server. */
export type Engine = (typeof NAMED_ENGINES)[number]

/** An answer that shows something. */
export interface Mark {
  path: string
  /** What it shows, for people. */
  shows: string
  fits(reply: ProbeReply): boolean
}

/** What is allowed beside finding. */
export interface ListingOptions {
  /** Namespaces of LlamaFarm whose projects may be shared. */
  namespaces: readonly string[]
}

/** What is known of one engine. */
export interface Fingerprint {
  engine: Engine
  name: string
  /** Where it listens if nobody says otherwise. */
  ports: readonly number[]
  /** Any of these sets, all marks of it. */
  marks: readonly (readonly Mark[])[]
  /** Its models. @throws ProbeError, MeshError `protocol_error`. */
  list(probe: Probe, options: ListingOptions): Promise<FoundModel[]>
}

const has = (value: JsonValue | undefined, ...keys: string[]): boolean =>
  isObject(value) && keys.every((key) => value[key] !== undefined && value[key] !== null)

const fieldsAt = (path: string, ...keys: string[]): Mark => ({
  path,
  shows: `${path} answers with ${keys.join(' and ')}`,
  fits: ({ status, json }) => status === 200 && has(json, ...keys)
})

const dataOf = ({ status, json }: ProbeReply): ReturnType<typeof objectsIn> =>
  status === 200 && isObject(json) ? objectsIn(json['data']) : []

const ownedBy = (owner: string, ...keys: string[]): Mark => ({
  path: '/v1/models',
  shows: `/v1/models is owned by "${owner}"`,
  fits: (reply) => {
    const models = dataOf(reply)
    return models.length > 0 && models.every((model) => model['owned_by'] === owner && has(model, ...keys))
  }
})

const speechTasks = ['automatic-speech-recognition', 'text-to-speech']

/** The table, in the order in which it is tried: who imitates another stands before it. */
export const FINGERPRINTS: readonly Fingerprint[] = [
  {
    engine: 'llamafarm',
    name: 'LlamaFarm',
    ports: [14345],
    marks: [[fieldsAt('/info', 'version', 'data_directory')]],
    list: listLlamaFarm
  },
  {
    engine: 'universal-runtime',
    name: 'LlamaFarm universal runtime',
    ports: [11540],
    marks: [[fieldsAt('/health', 'status', 'device', 'loaded_models')]],
    list: listUniversalRuntime
  },
  {
    engine: 'localai',
    name: 'LocalAI',
    ports: [8080],
    marks: [[fieldsAt('/.well-known/localai.json', 'version', 'endpoints')]],
    list: listLocalAi
  },
  {
    engine: 'ollama',
    name: 'Ollama',
    ports: [11434],
    marks: [
      [
        {
          path: '/',
          shows: '/ says "Ollama is running"',
          fits: ({ status, text }) => status === 200 && text.trim() === 'Ollama is running'
        },
        fieldsAt('/api/version', 'version')
      ]
    ],
    list: listOllama
  },
  {
    engine: 'lm-studio',
    name: 'LM Studio',
    ports: [1234],
    marks: [
      [
        {
          path: '/api/v1/models',
          shows: '/api/v1/models lists models with type, key and loaded_instances',
          fits: ({ status, json }) =>
            status === 200 &&
            isObject(json) &&
            Array.isArray(json['models']) &&
            objectsIn(json['models']).every((model) => has(model, 'type', 'key', 'loaded_instances'))
        }
      ],
      [
        {
          path: '/api/v0/models',
          shows: '/api/v0/models lists models with type and state',
          fits: (reply) => {
            const models = dataOf(reply)
            return models.length > 0 && models.every((model) => has(model, 'id', 'type', 'state'))
          }
        }
      ]
    ],
    list: listLmStudio
  },
  {
    engine: 'llama.cpp',
    name: 'llama.cpp server',
    ports: [8080, 9931],
    marks: [
      [
        {
          path: '/v1/models',
          shows: '/v1/models comes from the server "llama.cpp"',
          fits: ({ headers }) => /^llama\.cpp\b/i.test(headers.get('server') ?? '')
        }
      ],
      [ownedBy('llamacpp')]
    ],
    list: listLlamaCpp
  },
  { engine: 'vllm', name: 'vLLM', ports: [8000], marks: [[ownedBy('vllm', 'max_model_len')]], list: listVllm },
  { engine: 'sglang', name: 'SGLang', ports: [30000], marks: [[ownedBy('sglang')]], list: listVllm },
  {
    engine: 'whisper.cpp',
    name: 'whisper.cpp server',
    ports: [8080],
    marks: [
      [
        {
          path: '/',
          shows: '/ is the page of the "Whisper.cpp Server"',
          fits: ({ status, text }) => status === 200 && text.slice(0, 4_096).includes('<title>Whisper.cpp Server</title>')
        }
      ]
    ],
    list: listWhisperCpp
  },
  {
    engine: 'speaches',
    name: 'Speaches',
    ports: [8000],
    marks: [
      [
        {
          path: '/v1/models',
          shows: '/v1/models lists models with tasks of speech',
          fits: (reply) => {
            const models = dataOf(reply)
            return models.length > 0 && models.every(({ task }) => typeof task === 'string') && models.some(isOfSpeech)
          }
        }
      ]
    ],
    list: listSpeaches
  },
  { engine: 'kokoro', name: 'Kokoro-FastAPI', ports: [8880], marks: [[ownedBy('kokoro')]], list: listKokoro },
  // Nothing that it says without a key shows what it is: it is one where the configuration says so.
  { engine: 'jan', name: 'Jan', ports: [1337], marks: [], list: listOpenAi },
  {
    engine: 'openai',
    name: 'OpenAI-compatible server',
    ports: [],
    marks: [
      [
        {
          path: '/v1/models',
          shows: '/v1/models lists models as the API of OpenAI does; what it is it does not say',
          fits: (reply) => {
            const models = dataOf(reply)
            return models.length > 0 && models.every(({ id, object }) => typeof id === 'string' && object === 'model')
          }
        }
      ]
    ],
    list: listOpenAi
  }
]

/** The ports of loopback that are looked at if none are named. */
export const USUAL_PORTS: readonly number[] = [...new Set(FINGERPRINTS.flatMap(({ ports }) => ports))]

/** The row of an engine. */
export function fingerprintOf(engine: Engine): Fingerprint {
  return FINGERPRINTS.find((one) => one.engine === engine)!
}

function isOfSpeech({ task }: { task?: JsonValue }): boolean {
  return typeof task === 'string' && speechTasks.includes(task)
}
