/** Backend `webhook`: events of the mesh go to a URL, and requests of other programs raise events. */
import { randomUUID } from 'node:crypto'
import type { CapabilityDeclaration, TriggerDeclaration } from '../../protocols/capability.ts'
import type { JsonObject } from '../../protocols/json.ts'
import { MeshError } from '../errors.ts'
import type { Hooks } from '../mesh-api-hooks.ts'
import type { ToolContext, ToolHandler } from '../mesh-api.ts'
import type { Backend } from './backend.ts'
import { describedBy } from './capability-options.ts'
import { inState } from './capability-state.ts'
import { cloudEventOf } from './cloud-event.ts'
import { createHandlerCalls, lookupIn } from './handler-calls.ts'
import { createRecheck, discoverBy } from './recheck.ts'
import type { WebhookConfig } from './webhook-config.ts'
import { createHook, hookProblem } from './webhook-hook.ts'
import type { HookInit } from './webhook-hook.ts'
import { createWebhookSender } from './webhook-sender.ts'
import type { WebhookSender } from './webhook-sender.ts'

/** Most events of which it is known that they have not arrived. */
export const MAX_UNDELIVERED = 1_000
/** What has not come again for so long went elsewhere, or is a dead letter, ms: longer than a receiver may ask for. */
export const UNDELIVERED_MS = 2 * 3_600_000

/** What the backend needs beside its configuration. */
export interface WebhookInit extends HookInit {
  /** Those of the local API. Without it nothing can come in. */
  hooks?: Hooks
  recheckMs?: number
}

/** Makes a backend for one receiver, some hooks, or both. */
export function createWebhookBackend(config: WebhookConfig, init: WebhookInit): Backend {
  const { id, in: hooks = [] } = config
  const sender = config.out === undefined ? undefined : createWebhookSender(config.out, init)
  const declaration = declare(config)
  /** Names that another backend has. */
  const taken: string[] = []
  const { clock = Date.now, now = () => performance.now() } = init
  /** Why the receiver did not get the last event, and since when it gets none, ms since 1970. */
  let failing: { reason: string; since: number } | undefined
  /** Events that come again, when they were tried last, that one last. */
  const undelivered = new Map<string, number>()

  /** Sends, and remembers how it went. */
  async function send(webhookId: string, event: JsonObject, signal: AbortSignal): Promise<number> {
    if (sender === undefined) throw new MeshError('unsupported', `"${id}" sends nothing; it has no "out"`)
    const before = failing?.reason
    try {
      const status = await sender.send(webhookId, event, signal)
      failing = undefined
      return status
    } catch (error) {
      if (!signal.aborted) failing = failingBy(error as MeshError)
      throw error
    } finally {
      if (failing?.reason !== before) recheck.now()
    }
  }

  function failingBy({ retryable, message: reason }: MeshError): typeof failing {
    return retryable ? { reason, since: failing?.since ?? clock() } : undefined
  }

  /** An event, which comes again if it does not arrive. */
  async function deliver(webhookId: string, event: JsonObject, signal: AbortSignal): Promise<void> {
    try {
      await send(webhookId, event, signal)
      undelivered.delete(webhookId)
    } catch (error) {
      undelivered.delete(webhookId)
      if ((error as MeshError).retryable) undelivered.set(webhookId, now())
      if (undelivered.size > MAX_UNDELIVERED) undelivered.delete(undelivered.keys().next().value!)
      throw error
    }
  }

  function waiting(): number {
    for (const [webhookId, at] of undelivered) {
      if (at + UNDELIVERED_MS > now()) break
      undelivered.delete(webhookId)
    }
    return undelivered.size
  }

  const handlers = new Map<string, ToolHandler>()
  if (sender !== undefined) handlers.set('send', (input, context) => sendMessage(send, input, context))
  const calls = createHandlerCalls(lookupIn(id, handlers))
  const recheck = createRecheck(
    async (): Promise<CapabilityDeclaration[]> => {
      const outgoing = await sender?.problem()
      const incoming = (await Promise.all(hooks.map((hook) => hookProblem(hook, init)))).find((problem) => problem !== undefined)
      const problem = outgoing ?? incoming ?? takenProblem(taken) ?? failingSince(failing)
      if (problem === undefined) return inState(declaration, 'online')
      const isOut = outgoing !== undefined || (sender === undefined && hooks.length <= taken.length)
      return inState(declaration, isOut ? 'offline' : 'degraded', problem)
    },
    { everyMs: init.recheckMs }
  )

  function addHooks(): () => void {
    const remove: (() => void)[] = []
    taken.length = 0
    for (const hook of hooks) {
      try {
        if (init.hooks === undefined) throw new MeshError('unsupported', 'there is no local API')
        remove.push(init.hooks.add(hook.hook, createHook(id, hook, init)))
      } catch {
        taken.push(hook.hook)
      }
    }
    return () => remove.forEach((take) => take())
  }

  return {
    id,
    kind: 'webhook',
    call: calls.call,
    async *discover(signal) {
      yield* discoverBy(recheck, calls, signal, addHooks())
    },
    async handle(_capability, event, { signal }) {
      // Unique at its node alone; and a dot would end it in what is signed.
      await deliver(`${event.node}_${event.id}`, cloudEventOf(event), signal)
    },
    waiting
  }
}

async function sendMessage(
  send: WebhookSender['send'],
  { type = 'message', subject, data = null }: JsonObject,
  { caller, signal, progress }: ToolContext
): Promise<JsonObject> {
  const id = randomUUID()
  const event = {
    specversion: '1.0',
    id,
    source: `atm:${caller}`,
    type,
    ...(subject !== undefined && { subject }),
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    data
  }
  progress(0, undefined, 'sending')
  return { status: await send(id, event, signal) }
}

function failingSince(failing: { reason: string; since: number } | undefined): string | undefined {
  return failing && `${failing.reason}, since ${new Date(failing.since).toISOString()}`
}

function takenProblem(taken: readonly string[]): string | undefined {
  if (taken.length === 0) return undefined
  return `this node has no local API, or another backend has the hook ${taken.map((name) => `"${name}"`).join(', ')}`
}

function declare(config: WebhookConfig): CapabilityDeclaration {
  const { id, out, in: hooks = [] } = config
  const declaration: CapabilityDeclaration = {
    id,
    type: 'message/webhook',
    name: id,
    description: 'Webhooks: tells another program of events, or is told by it.',
    // A hook is at one machine.
    ...(hooks.length > 0 && { scope: 'node' as const }),
    triggers: hooks.map(
      ({ hook, check: _check, perMinute: _perMinute, secretEnv: _env, secretFile: _file, ...trigger }): TriggerDeclaration => ({
        description: `A request to the hook ${hook}.`,
        ...trigger
      })
    )
  }
  if (out !== undefined) {
    declaration.handles = out.ordered === true ? { ordered: true } : {}
    declaration.tools = [
      {
        name: 'send',
        description: 'Sends something to the receiver, once.',
        input: {
          type: 'object',
          additionalProperties: false,
          properties: {
            type: { type: 'string', minLength: 1, maxLength: 256, default: 'message', description: 'What kind of thing it is.' },
            subject: { type: 'string', minLength: 1, maxLength: 256, description: 'What it is about.' },
            data: { description: 'Any JSON. Default: null.' }
          }
        },
        output: { type: 'object', properties: { status: { type: 'integer', description: 'Of HTTP.' } } }
      }
    ]
  }
  return describedBy(config, declaration)
}
