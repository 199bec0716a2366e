/** Backend `system`: what machine a node runs on, its clock, and two tools to try the mesh with. */
import os from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import { MeshError } from '../errors.ts'
import type { JsonObject } from '../core/invoke.ts'
import type { ToolHandler } from '../mesh-api.ts'
import type { Backend } from './backend.ts'
import { createHandlerCalls, lookupIn } from './handler-calls.ts'
import { createRecheck, discoverBy } from './recheck.ts'

const MAX_COUNT = 1_000_000
const MAX_INTERVAL_MS = 60_000

const NO_INPUT = { type: 'object', additionalProperties: false }

const declaration: CapabilityDeclaration = {
  id: 'system',
  type: 'system/node',
  name: 'System',
  description: 'The machine that this node runs on: processor, memory, load, clock.',
  scope: 'node',
  examples: ['How much memory is free?', 'How busy is this machine?', 'What time is it there?'],
  tools: [
    {
      name: 'info',
      description: 'Operating system, processor, memory in bytes, load and uptime.',
      input: NO_INPUT,
      idempotent: true
    },
    { name: 'clock', description: 'Time and time zone of the node.', input: NO_INPUT, idempotent: true },
    { name: 'echo', description: 'Gives back its input.', idempotent: true },
    {
      name: 'count',
      description: 'Counts from 1, one number after another, with progress.',
      input: {
        type: 'object',
        additionalProperties: false,
        required: ['to'],
        properties: {
          to: { type: 'integer', minimum: 0, maximum: MAX_COUNT },
          intervalMs: {
            type: 'integer',
            minimum: 0,
            maximum: MAX_INTERVAL_MS,
            default: 0,
            description: 'Wait before each number, in ms.'
          }
        }
      },
      output: { type: 'object', properties: { counted: { type: 'integer' } } },
      streams: true,
      idempotent: true
    }
  ]
}

/** Makes the system backend. `version` is that of Atmosphere. */
export function createSystemBackend(init: { version: string }): Backend {
  const handlers = new Map<string, ToolHandler>([
    ['info', () => systemInfo(init.version)],
    ['clock', () => readClock()],
    ['echo', (input) => input],
    ['count', count]
  ])
  const calls = createHandlerCalls(lookupIn(declaration.id, handlers))
  const once = createRecheck(async () => [declaration])

  return {
    id: 'system',
    kind: 'system',
    call: calls.call,
    discover: (signal) => discoverBy(once, calls, signal)
  }
}

// No host name and no addresses: they tell who the owner is, and nobody needs them to choose a machine.
function systemInfo(version: string): JsonObject {
  const cpus = os.cpus()
  const [oneMinute = 0, fiveMinutes = 0, fifteenMinutes = 0] = os.loadavg()
  return {
    os: { platform: os.platform(), release: os.release(), arch: os.arch() },
    cpu: { model: cpus[0]?.model.trim() ?? 'unknown', cores: os.availableParallelism() },
    memory: { totalBytes: os.totalmem(), freeBytes: os.freemem() },
    load: { oneMinute, fiveMinutes, fifteenMinutes },
    uptimeMs: Math.round(os.uptime() * 1_000),
    nodeVersion: process.version,
    atmosphereVersion: version
  }
}

function readClock(): JsonObject {
  const now = new Date()
  return {
    iso: now.toISOString(),
    epochMs: now.getTime(),
    monotonicMs: Math.round(performance.now()),
    timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    utcOffsetMinutes: -now.getTimezoneOffset() || 0
  }
}

const count: ToolHandler = async function* (input, { signal, progress }) {
  const to = numberIn(input, 'to', MAX_COUNT)
  const intervalMs = input['intervalMs'] === undefined ? 0 : numberIn(input, 'intervalMs', MAX_INTERVAL_MS)
  for (let n = 1; n <= to; n++) {
    if (intervalMs > 0) await sleep(intervalMs, undefined, { signal })
    progress(n, to)
    yield n
  }
  return { counted: to }
}

function numberIn(input: JsonObject, key: string, max: number): number {
  const value = input[key]
  if (typeof value === 'number' && value >= 0 && value <= max) return value
  throw new MeshError('invalid_argument', `"${key}" must be a number from 0 to ${max}`, { key })
}
