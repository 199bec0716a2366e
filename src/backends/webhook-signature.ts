/**
 * How webhooks show that they are from who knows the secret: Standard Webhooks 1.0 (https://www.standardwebhooks.com), and `X-Hub-Signature-256`
 * of GitHub (https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries).
 */
import { createHmac, createHash, timingSafeEqual } from 'node:crypto'
import { MeshError } from '../errors.ts'

/** How far the time of a webhook may be from now, in s. */
export const TOLERANCE_S = 300
/** Shortest secret that is no key of Standard Webhooks, in characters. */
export const MIN_SECRET = 16
/** Keys that one secret may hold, while a new one takes the place of an old one. */
const MAX_KEYS = 4
/** Signatures of one request that are looked at. */
const MAX_SIGNATURES = 16
const PREFIX = 'whsec_'

/** The keys of a secret of Standard Webhooks: `whsec_` and 24 to 64 bytes in base64; several stand on lines of their own. Throws `unavailable`. */
export function webhookKeys(secret: string): Buffer[] {
  const texts = secret.split(/\s+/).filter((text) => text !== '')
  const keys = texts.map((text) => Buffer.from(text.slice(PREFIX.length), 'base64'))
  const isGood = texts.every((text, n) => /^whsec_[A-Za-z0-9+/]+={0,2}$/.test(text) && isBetween(keys[n]!.length, 24, 64))
  if (!isGood || !isBetween(keys.length, 1, MAX_KEYS))
    throw new MeshError('unavailable', 'the secret must be whsec_ and 24 to 64 bytes in base64, as Standard Webhooks has it')
  return keys
}

/** Value of the header `webhook-signature`: one signature by each key. @param timestamp Unix time in s. */
export function signWebhook(keys: readonly Buffer[], id: string, timestamp: number, body: Uint8Array | string): string {
  return keys.map((key) => `v1,${signature(key, id, String(timestamp), body).toString('base64')}`).join(' ')
}

/** Value of a header, by its name in lower case. */
export type HeaderOf = (name: string) => string | undefined

/** What headers say of who made a request, as far as they can show it without the body. */
export interface Claim {
  /** What tells the request from others. Of {@link githubClaim} and {@link bearerClaim} it may be anything yet, see {@link isWebhookId}. */
  id: string | undefined
  /** @throws MeshError `permission_denied` if the body shows that it is not so. */
  prove(body: Uint8Array): void
}

/**
 * A request by Standard Webhooks: its headers are all there, and its time is near.
 * @param nowS Unix time in s. @throws MeshError `permission_denied`.
 */
export function standardClaim(keys: readonly Buffer[], header: HeaderOf, nowS: number): Claim {
  const [id = '', timestamp = '', signatures = ''] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map(header)
  if (!isWebhookId(id) || !/^\d{1,12}$/.test(timestamp)) throw refused()
  if (Math.abs(nowS - Number(timestamp)) > TOLERANCE_S) throw refused()
  const given = signatures
    .split(' ')
    .slice(0, MAX_SIGNATURES)
    .filter((one) => one.startsWith('v1,'))
    .map((one) => Buffer.from(one.slice(3), 'base64'))
  if (given.length === 0) throw refused()
  return {
    id,
    prove(body) {
      const expected = keys.map((key) => signature(key, id, timestamp, body))
      // All are compared, so that the time does not tell which one was close.
      const matches = expected.flatMap((one) => given.map((other) => isSame(one, other)))
      if (!matches.includes(true)) throw refused()
    }
  }
}

/** A request by the header of GitHub. @throws MeshError `permission_denied`. */
export function githubClaim(secret: string, header: HeaderOf): Claim {
  const given = /^sha256=([0-9a-f]{64})$/i.exec(header('x-hub-signature-256') ?? '')?.[1]
  if (given === undefined) throw refused()
  return {
    id: header('x-github-delivery'),
    prove(body) {
      if (!isSame(createHmac('sha256', secret).update(body).digest(), Buffer.from(given, 'hex'))) throw refused()
    }
  }
}

/** A request that has the secret itself: there is nothing more to prove. @throws MeshError `permission_denied`. */
export function bearerClaim(secret: string, header: HeaderOf): Claim {
  const given = /^Bearer ([\x21-\x7e]{1,512})$/i.exec(header('authorization') ?? '')?.[1]
  // Of one length: that of the secret is nobody's business.
  if (!isSame(digest(secret), digest(given ?? '')) || given === undefined) throw refused()
  return { id: header('webhook-id'), prove: () => undefined }
}

/** True for what an id of a webhook may be. No dot: that is what stands between the parts that are signed, which could be cut elsewhere then. */
export function isWebhookId(id: string): boolean {
  return /^[\x21-\x2d\x2f-\x7e]{1,256}$/.test(id)
}

function signature(key: Buffer, id: string, timestamp: string, body: Uint8Array | string): Buffer {
  return createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest()
}

/** Why is nobody's business before the secret is shown: it would say whether there is such a hook, and how it checks. */
function refused(): MeshError {
  return new MeshError('permission_denied', 'the request does not show the secret')
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
const isSame = (one: Buffer, other: Buffer): boolean => one.length === other.length && timingSafeEqual(one, other)
const isBetween = (count: number, min: number, max: number): boolean => count >= min && count <= max
