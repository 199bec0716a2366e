/** Who may talk to the local API. Where a request comes from is never read from a header: any program can write those. */
import { sha256 } from '@noble/hashes/sha2.js'
import type { MiddlewareHandler } from 'hono'
import { fromString } from 'uint8arrays/from-string'
import { MeshError } from '../errors.ts'
import { refusal } from './errors.ts'

/** What the guard knows of this server. */
export interface GuardInit {
  /** Tokens that open the API. At least one; each is compared in constant time. */
  tokens: readonly string[]
  /** Names and addresses, without port, by which this server may be asked. Default: the loopback ones. */
  hosts?: readonly string[]
  /**
   * True if the server listens on more than loopback: then any IP literal is a fit Host as well.
   * DNS rebinding needs a name, so an address in Host cannot be one.
   */
  anyAddress?: boolean
}

/** Names and addresses of this machine for itself. */
export const LOOPBACK_HOSTS: readonly string[] = ['localhost', '127.0.0.1', '[::1]']

/**
 * Refuses a request under a foreign name (DNS rebinding: a web page whose name was pointed at 127.0.0.1) and one from a foreign
 * web page (CSRF), both with 403. No path and no method is exempt, a preflight neither.
 */
export function hostGuard({ hosts = LOOPBACK_HOSTS, anyAddress = false }: GuardInit): MiddlewareHandler {
  const allowed = new Set(hosts.map((host) => host.toLowerCase()))
  const fits = (hostname: string | undefined) =>
    hostname !== undefined && (allowed.has(hostname) || (anyAddress && isAddress(hostname)))
  return async (context, next) => {
    const { raw } = context.req
    const url = new URL(raw.url)
    const host = raw.headers.get('host')
    // With an absolute request target the URL and the Host header may differ: both must fit.
    if (!fits(url.hostname.toLowerCase()) || (host !== null && !fits(hostnameOf(host)))) {
      throw new MeshError('permission_denied', 'this host name is not allowed here', { host: host ?? url.host })
    }
    const origin = raw.headers.get('origin')
    if (origin !== null && origin.toLowerCase() !== `${url.protocol}//${host ?? url.host}`.toLowerCase()) {
      throw new MeshError('permission_denied', 'requests from other web pages are not allowed', { origin })
    }
    await next()
  }
}

/** Whoever asks may be anybody: the path of the data directory is not told, only how its owner learns it. */
const WHERE =
  'the token is the file "api-token" in the data directory of the node, which atmo status names. What the API takes is described at /docs, without a token'

/** Refuses a request without `Authorization: Bearer TOKEN` with 401. */
export function tokenGuard({ tokens }: GuardInit): MiddlewareHandler {
  // Digests have one length, as a comparison in constant time needs. That of WebCrypto would wait twice for a thread, for each request.
  const digestOf = (token: string): Uint8Array => sha256(fromString(token))
  const digests = tokens.map(digestOf)
  return async (context, next) => {
    const given = /^Bearer ([\x21-\x7e]{1,512})$/i.exec(context.req.header('authorization') ?? '')?.[1]
    const digest = digestOf(given ?? '')
    let known = false
    // All are compared, so that the time does not tell which one was close.
    for (const one of digests) known = isSame(digest, one) || known
    if (given === undefined || !known) {
      throw refusal(
        { status: 401, headers: { 'www-authenticate': 'Bearer realm="atmosphere"' } },
        'permission_denied',
        given === undefined
          ? `a token is needed: send the header "Authorization: Bearer TOKEN"; ${WHERE}`
          : `the token is wrong; ${WHERE}`
      )
    }
    await next()
  }
}

function hostnameOf(host: string): string | undefined {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i.exec(host)
  return match?.[1]?.toLowerCase()
}

function isAddress(hostname: string): boolean {
  return /^\[[0-9a-f:.]+\]$/.test(hostname) || /^\d{1,3}(\.\d{1,3}){3}$/.test(hostname)
}

/** Whether two texts of bytes of one length are the same, in a time that does not tell where they differ. */
export function isSame(a: Uint8Array, b: ArrayLike<number>): boolean {
  return a.reduce((difference, byte, at) => difference | (byte ^ b[at]!), a.length ^ b.length) === 0
}
