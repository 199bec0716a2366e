import assert from 'node:assert/strict'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { BACKENDS, createBackend } from '../../src/backends/index.ts'
import type { BackendConfig } from '../../src/backends/index.ts'

const GOOD: BackendConfig[] = [
  { kind: 'system' },
  { kind: 'files', path: 'shared', writable: true },
  {
    kind: 'command',
    id: 'speech',
    type: 'audio/generate',
    tools: [
      { name: 'say', run: ['espeak-ng', '{text}'], input: { properties: { text: {} } }, stdout: 'bytes', cache: { ttlMs: 5 } }
    ],
    triggers: [{ event: 'heard', run: ['listen'], subject: 'room', fanOut: 'all', debounceMs: 5, throttleMs: 5, expiresMs: 9 }]
  },
  { kind: 'mcp', id: 'a', command: ['npx', 'server'], env: { A: 'b' }, tools: { allow: ['read_*'] } },
  { kind: 'mcp', id: 'b', url: 'http://127.0.0.1:3001/mcp', headers: { Authorization: 'x' } },
  { kind: 'schedule', timeZone: 'UTC', triggers: [{ event: 'tick', every: '10s', fanOut: 2 }] },
  { kind: 'folder', path: 'inbox', match: ['**.pdf'], triggers: { file_added: { priority: 'high' }, file_removed: false } },
  {
    kind: 'mqtt',
    id: 'home',
    url: 'mqtts://broker.lan:8883',
    passwordFile: 'password',
    subscribe: [{ event: 'e', topic: 'home/#', qos: 0 }],
    publish: ['lamp/+'],
    handles: { topic: 'mesh/{type}/{subject}', retain: true }
  },
  {
    kind: 'webhook',
    id: 'out',
    out: { url: 'https://example.org/hook?id=1', secretFile: 'secret', mode: 'binary', ordered: true }
  },
  { kind: 'webhook', id: 'in', in: [{ hook: 'door', event: 'ring', secretEnv: 'RING', check: 'github', payload: true }] },
  { kind: 'camera', id: 'door', source: { urlEnv: 'DOOR_CAMERA' }, motion: false, history: { seconds: 60 } },
  { kind: 'camera', id: 'film', source: { file: 'film.mp4', loop: true }, motion: { area: 0.05 } },
  { kind: 'speech', voice: 'en-gb', player: ['aplay', '-q'], folder: 'speech' },
  { kind: 'transcription', url: 'http://127.0.0.1:8000/v1', model: 'whisper-1', apiKeyFile: 'key' },
  { kind: 'openai-chat', baseUrl: 'http://127.0.0.1:8080/v1', model: 'Qwen/Qwen3-8B', apiKeyEnv: 'CHAT_KEY', vision: true },
  { kind: 'openai-embeddings', baseUrl: 'http://127.0.0.1:8080/v1', model: 'nomic-embed-text', dimensions: 768, aliases: ['e'] },
  { kind: 'openai-image', baseUrl: 'http://127.0.0.1:8080/v1', model: 'sd-1.5', size: '512x512', imageHosts: ['cdn.example.org'] }
]

const BAD: [keyof typeof BACKENDS, unknown][] = [
  ['system', { kind: 'system', extra: 1 }],
  ['files', { kind: 'files' }],
  ['command', { kind: 'command', id: 'Bad Id', type: 't' }],
  ['command', { kind: 'command', id: 'c', type: 't', tools: [{ name: 't', run: [] }] }],
  ['command', { kind: 'command', id: 'c', type: 't', tools: [{ name: 't', run: ['x'], typo: 1 }] }],
  ['command', { kind: 'command', id: 'c', type: 't', triggers: [{ event: 'e', fanOut: 0 }] }],
  ['mcp', { kind: 'mcp', id: 'm' }],
  ['mcp', { kind: 'mcp', id: 'm', command: ['x'], url: 'http://x' }],
  ['mcp', { kind: 'mcp', id: 'm', url: 'file:///etc/passwd' }],
  ['schedule', { kind: 'schedule' }],
  ['schedule', { kind: 'schedule', triggers: [{ event: 'e' }] }],
  ['schedule', { kind: 'schedule', triggers: [{ event: 'e', cron: '* * * * *', every: '1s' }] }],
  ['schedule', { kind: 'schedule', triggers: [{ event: 'e', every: 'often' }] }],
  ['folder', { kind: 'folder' }],
  ['folder', { kind: 'folder', path: 'x', triggers: { file_moved: false } }],
  ['folder', { kind: 'folder', path: 'x', triggers: { file_added: { fanOut: 'some' } } }],
  ['mqtt', { kind: 'mqtt', id: 'm', url: 'mqtt://user:secret@broker' }],
  ['mqtt', { kind: 'mqtt', id: 'm', url: 'mqtt://broker', password: 'secret' }],
  ['mqtt', { kind: 'mqtt', id: 'm', url: 'mqtt://broker', subscribe: [{ event: 'e', topic: 't', qos: 3 }] }],
  ['mqtt', { kind: 'mqtt', id: 'm', url: 'mqtt://broker', handles: {} }],
  ['webhook', { kind: 'webhook', id: 'w' }],
  ['webhook', { kind: 'webhook', id: 'w', out: { secretEnv: 'S' } }],
  ['webhook', { kind: 'webhook', id: 'w', out: { url: 'https://user:pass@example.org' } }],
  ['webhook', { kind: 'webhook', id: 'w', out: { url: 'https://example.org', secret: 'whsec_x' } }],
  ['webhook', { kind: 'webhook', id: 'w', in: [{ hook: 'a/b', event: 'e', secretEnv: 'S' }] }],
  ['webhook', { kind: 'webhook', id: 'w', in: [{ hook: 'a', event: 'e' }] }],
  ['webhook', { kind: 'webhook', id: 'w', in: [{ hook: 'a', event: 'e', secretEnv: 'S', check: 'none' }] }],
  ['camera', { kind: 'camera', id: 'c' }],
  ['camera', { kind: 'camera', id: 'c', source: {} }],
  ['camera', { kind: 'camera', id: 'c', source: { file: 'a', lavfi: 'b' } }],
  ['camera', { kind: 'camera', id: 'c', source: { url: 'rtsp://user:secret@camera/1' } }],
  ['camera', { kind: 'camera', id: 'c', source: { lavfi: 'testsrc2' }, motion: { area: 2 } }],
  ['speech', { kind: 'speech', voice: '-w' }],
  ['speech', { kind: 'speech', player: 'aplay' }],
  ['transcription', { kind: 'transcription', url: 'http://127.0.0.1:8000/v1' }],
  ['transcription', { kind: 'transcription', url: 'http://a:b@127.0.0.1/v1', model: 'm' }],
  ['transcription', { kind: 'transcription', url: 'http://127.0.0.1/v1', model: 'm', apiKeyEnv: 'A', apiKeyFile: 'b' }],
  ['openai-image', { kind: 'openai-image', baseUrl: 'http://user:pass@127.0.0.1/v1', model: 'm' }],
  ['openai-image', { kind: 'openai-image', baseUrl: 'http://127.0.0.1/v1', model: 'm', size: 'large' }],
  ['openai-embeddings', { kind: 'openai-embeddings', baseUrl: 'http://127.0.0.1/v1' }],
  ['openai-embeddings', { kind: 'openai-embeddings', baseUrl: 'http://a:b@127.0.0.1/v1', model: 'm' }],
  ['openai-chat', { kind: 'openai-chat', baseUrl: 'http://127.0.0.1', model: 'm', idleMs: 0 }],
  ['openai-chat', { kind: 'openai-chat', baseUrl: 'file:///etc/passwd', model: 'm' }],
  ['openai-chat', { kind: 'openai-chat', baseUrl: 'http://127.0.0.1', model: 'm', apiKey: 'secret' }]
]

describe('the table of backends', () => {
  const ajv = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true })
  const validate = Object.fromEntries(
    Object.entries(BACKENDS).map(([kind, { configSchema }]) => [kind, ajv.compile(configSchema)])
  )

  for (const config of GOOD) {
    it(`makes a backend of ${JSON.stringify(config).slice(0, 60)}`, async () => {
      assert.ok(validate[config.kind]!(config), JSON.stringify(validate[config.kind]!.errors))
      const backend = await createBackend(config, { baseDir: '.', version: '0.0.0' })
      assert.equal(backend.kind, config.kind)
    })
  }
  for (const [kind, config] of BAD) {
    it(`refuses ${JSON.stringify(config).slice(0, 80)}`, () => assert.equal(validate[kind]!(config), false))
  }
})
