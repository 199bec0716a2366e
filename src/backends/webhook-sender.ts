/** Sends CloudEvents to one URL, signed by Standard Webhooks; what the answer means for the event. */
import type { JsonObject } from '../../protocols/json.ts'
import { MeshError, abortError } from '../errors.ts'
import { CLOUD_EVENT_TYPE } from './cloud-event.ts'
import { retryAfterMsOf } from './retry-after.ts'
import { secretVariable } from './secret-source.ts'
import type { WebhookOutConfig } from './webhook-config.ts'
import { secretOf, type HookInit } from './webhook-hook.ts'
import { signWebhook, webhookKeys } from './webhook-signature.ts'

/** Time that a receiver has for its answer if nothing is given, in ms. */
export const DEFAULT_TIMEOUT_MS = 15_000

/** Longest header of an attribute in binary mode, in bytes: servers take 8 to 16 KiB of all together, and answer 431 to more. */
export const MAX_HEADER_LENGTH = 2_048
/** Without these it is no CloudEvent. They are short. */
const REQUIRED: readonly string[] = ['specversion', 'id', 'source', 'type']

/** See {@link createWebhookSender}. */
export interface WebhookSender {
  /**
   * Resolves with the HTTP status when the receiver has said 2xx. @param id the same each time that the event is sent.
   * @throws MeshError `unavailable`, `busy`: it may be sent again later; `tool_failed` that is not retryable: the receiver refuses it; what the signal aborts with.
   */
  send(id: string, event: JsonObject, signal: AbortSignal): Promise<number>
  /** Why nothing can be sent. Never throws. */
  problem(): Promise<string | undefined>
}

/** Makes a sender. The secret is read anew for each request. Redirects are not followed: the event is for the host in the configuration. */
export function createWebhookSender(config: WebhookOutConfig, init: HookInit): WebhookSender {
  const { url, urlEnv = '', timeoutMs = DEFAULT_TIMEOUT_MS } = config
  const { clock = Date.now } = init

  async function target(): Promise<{ url: string; keys: Buffer[] }> {
    const secret = await secretOf(config, init)
    const address = url ?? secretVariable(urlEnv, init)
    if (!/^https?:\/\//.test(address) || !URL.canParse(address))
      throw new MeshError('unavailable', 'the address of the receiver must begin with http:// or https://')
    return { url: address, keys: secret === undefined ? [] : webhookKeys(secret) }
  }

  return {
    async send(id, event, given) {
      const to = await target()
      const { headers, body } = messageOf(event, config.mode)
      const timestamp = Math.floor(clock() / 1_000)
      const signed = {
        ...headers,
        'webhook-id': id,
        'webhook-timestamp': String(timestamp),
        ...(to.keys.length > 0 && { 'webhook-signature': signWebhook(to.keys, id, timestamp, body) })
      }
      const late = AbortSignal.timeout(timeoutMs)
      let response: Response
      try {
        const signal = AbortSignal.any([given, late])
        response = await fetch(to.url, { method: 'POST', headers: signed, body, redirect: 'manual', signal })
      } catch (error) {
        if (given.aborted) throw abortError(given)
        if (late.aborted) throw new MeshError('unavailable', `the receiver has not answered within ${timeoutMs} ms`)
        throw new MeshError('unavailable', `the receiver cannot be reached (${reasonOf(error)})`)
      }
      // What it says beside that is nobody's business, and may be endless.
      await response.body?.cancel().catch(() => undefined)
      if (!response.ok) throw statusError(response, clock())
      return response.status
    },
    async problem() {
      try {
        await target()
        return undefined
      } catch (error) {
        return `out: ${(error as Error).message}`
      }
    }
  }
}

/** HTTP binding of CloudEvents 1.0.2, sections 3.1 and 3.2. What is too long for a header is left out: a part of it would not be what was said. */
function messageOf(event: JsonObject, mode: WebhookOutConfig['mode']): { headers: Record<string, string>; body: string } {
  if (mode !== 'binary') return { headers: { 'content-type': `${CLOUD_EVENT_TYPE}; charset=utf-8` }, body: JSON.stringify(event) }
  const { data = null, datacontenttype: _type, ...attributes } = event
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  for (const [name, value] of Object.entries(attributes)) {
    const text = headerText(typeof value === 'string' ? value : JSON.stringify(value))
    if (text.length <= MAX_HEADER_LENGTH || REQUIRED.includes(name)) headers[`ce-${name}`] = text
  }
  return { headers, body: JSON.stringify(data) }
}

/** Section 3.1.3.2: blanks, quotes, percent signs and all that is not printable ASCII are percent-encoded. */
function headerText(text: string): string {
  const encode = (character: string): string =>
    [...new TextEncoder().encode(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
  return text.replace(/[^\x21-\x7e]|["%]/gu, encode)
}

/** Codes alone: what the system says may repeat the address. */
function reasonOf(error: unknown): string {
  const { code } = ((error as Error | undefined)?.cause ?? {}) as { code?: unknown }
  return typeof code === 'string' ? code : 'the request failed'
}

function statusError({ status, headers }: Response, nowMs: number): MeshError {
  const details = { httpStatus: status }
  const retryAfterMs = retryAfterMsOf(headers, nowMs)
  const later = { ...details, ...(retryAfterMs !== undefined && { retryAfterMs }) }
  if (status === 429) return new MeshError('busy', 'the receiver has too much to do (HTTP 429)', later)
  if (status >= 500 || status === 408 || status === 425)
    return new MeshError('unavailable', `the receiver failed (HTTP ${status})`, later)
  if (status < 400)
    return new MeshError('unavailable', `the receiver is elsewhere (HTTP ${status}), and redirects are not followed`, details)
  return new MeshError('tool_failed', `the receiver refuses it (HTTP ${status})`, { ...details, retryable: false })
}
