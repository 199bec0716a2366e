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

/** A request that says who made it. */
export interface SignedRequest {
  header(name: string): string | undefined
  body: Uint8Array
}

/**
 * Checks a request by Standard Webhooks.
 * @returns its id. @param nowS Unix time in s. @throws MeshError `permission_denied`.
 */
export function checkStandard(keys: readonly Buffer[], { header, body }: SignedRequest, nowS: number): string {
  const [id = '', timestamp = '', signatures = ''] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map(header)
  if (!isWebhookId(id) || !/^\d{1,12}$/.test(timestamp) || signatures === '')
    throw refused('it needs the headers webhook-id, webhook-timestamp and webhook-signature, as Standard Webhooks has them')
  const given = signatures
    .split(' ')
    .slice(0, MAX_SIGNATURES)
    .filter((one) => one.startsWith('v1,'))
    .map((one) => Buffer.from(one.slice(3), 'base64'))
  const expected = keys.map((key) => signature(key, id, timestamp, body))
  // All are compared, so that the time does not tell which one was close.
  const matches = expected.flatMap((one) => given.map((other) => isSame(one, other)))
  if (!matches.includes(true)) throw refused('the signature is wrong')
  // Only who knows the secret is told of the clock.
  if (Math.abs(nowS - Number(timestamp)) > TOLERANCE_S)
    throw refused(`it is over ${TOLERANCE_S / 60} minutes old, or the clock of one of both is wrong`)
  return id
}

/** Checks a request by the header of GitHub. @throws MeshError `permission_denied`. */
export function checkGitHub(secret: string, { header, body }: SignedRequest): void {
  const given = /^sha256=([0-9a-f]{64})$/i.exec(header('x-hub-signature-256') ?? '')?.[1]
  if (given === undefined) throw refused('it needs the header X-Hub-Signature-256')
  if (!isSame(createHmac('sha256', secret).update(body).digest(), Buffer.from(given, 'hex')))
    throw refused('the signature is wrong')
}

/** Checks that a request has the secret itself. @throws MeshError `permission_denied`. */
export function checkBearer(secret: string, { header }: SignedRequest): void {
  const given = /^Bearer ([\x21-\x7e]{1,512})$/i.exec(header('authorization') ?? '')?.[1]
  if (given === undefined) throw refused('it needs the header "Authorization: Bearer SECRET"')
  // Of one length: that of the secret is nobody's business.
  if (!isSame(digest(secret), digest(given))) throw refused('the secret is wrong')
}

/** True for what an id of a webhook may be. No dot: that is what stands between the parts that are signed, which could be cut elsewhere then. */
export function isWebhookId(id: string): boolean {
  return /^[\x21-\x2d\x2f-\x7e]{1,256}$/.test(id)
}

function signature(key: Buffer, id: string, timestamp: string, body: Uint8Array | string): Buffer {
  return createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest()
}

function refused(why: string): MeshError {
  return new MeshError('permission_denied', `the request is not accepted: ${why}`)
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
const isSame = (one: Buffer, other: Buffer): boolean => one.length === other.length && timingSafeEqual(one, other)
const isBetween = (count: number, min: number, max: number): boolean => count >= min && count <= max
