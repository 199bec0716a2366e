import type { Connection } from '@libp2p/interface'
import { ROLES } from '../protocols/member/messages.ts'
import type { MeshComponents } from './mesh-components.ts'
import { MeshError } from './errors.ts'
import type { CheckedPeer } from './mesh-members.ts'
import { requestWelcome } from './net/join.ts'
import { canRenew } from './trust/issuer.ts'

/** How often a node looks whether its certificate ends soon, and whether those of others have ended, in ms. */
export const RENEWAL_CHECK_MS = 60_000
/** How soon it asks again while it has none by the newest key of the mesh, in ms: an owner that is connected may not have that one yet either. */
export const RENEWAL_RETRY_MS = 10_000

/** A clock that stands still must not make this node spin, in ms. */
const MIN_CHECK_MS = 1_000

/** The node's own certificate, kept good, and an eye on those of others. */
export interface Renewal {
  start(): void
  stop(): void
  /** Another member is connected: looks again when its certificates end. */
  watch(): void
  /** Asks the members that may give a new certificate, one after the other, until one does. Does nothing while none is needed. */
  renew(): Promise<void>
}

/** What it needs. */
export interface RenewalComponents extends Pick<MeshComponents, 'membership' | 'now' | 'log'> {
  checked: ReadonlyMap<string, CheckedPeer>
  /** Of a member that is admitted. */
  connectionTo(peer: string): Connection | undefined
  /** Closes all connections of a peer. */
  drop(peer: string, error: MeshError): void
  /** It has a new certificate: who refused the old one may take this one. */
  onRenewed(): void
}

/** See {@link Renewal}. */
export function createRenewal({ membership, checked, connectionTo, drop, onRenewed, now, log }: RenewalComponents): Renewal {
  let timer: ReturnType<typeof setInterval> | undefined
  let ending: ReturnType<typeof setTimeout> | undefined
  let retry: ReturnType<typeof setTimeout> | undefined
  let renewing = false
  let again = false
  let stopped = false

  async function renew(): Promise<void> {
    // Who comes while others are asked is asked as well.
    again = renewing
    if (renewing || stopped || !membership.needsRenewal()) return
    renewing = true
    try {
      if (await membership.renewOwn()) {
        onRenewed()
        return log('info', 'this node renewed its own certificate')
      }
      const rank = ([, { member }]: [string, CheckedPeer]): number => ROLES.indexOf(member.role)
      const able = [...checked].filter(([, { member }]) => canRenew(member.role)).sort((a, b) => rank(a) - rank(b))
      for (const [peer] of able) if (await ask(peer)) return log('info', 'the certificate of this node was renewed')
      if (able.length > 0) later()
    } catch (error) {
      log('warn', `renewing the certificate of this node: ${(error as Error).message}`)
    } finally {
      renewing = false
      if (again) void renew()
    }
  }

  /** Who is connected holds no longer than its certificates: with new ones it comes again. */
  function check(): void {
    void renew()
    for (const [peer, { member }] of checked)
      if (membership.endsInS(member) <= 0) drop(peer, new MeshError('unavailable', 'its certificates have ended'))
    watch()
  }

  /** For those that end before the next regular look. */
  function watch(): void {
    const inMs = Math.min(...[...checked.values()].map(({ member }) => membership.endsInS(member) * 1_000))
    clearTimeout(ending)
    if (inMs >= RENEWAL_CHECK_MS || stopped) return
    ending = setTimeout(check, Math.max(MIN_CHECK_MS, inMs))
    ending.unref?.()
  }

  /** @returns true if nothing more is needed. */
  async function ask(peer: string): Promise<boolean> {
    const connection = connectionTo(peer)
    if (connection === undefined) return false
    try {
      await membership.renewed(await requestWelcome(connection, { op: 'renew' }, now))
      onRenewed()
    } catch (error) {
      log('warn', `${peer} did not renew the certificate of this node: ${(error as Error).message}`)
    }
    return !membership.needsRenewal()
  }

  function later(): void {
    clearTimeout(retry)
    retry = setTimeout(() => void renew(), RENEWAL_RETRY_MS)
    retry.unref?.()
  }

  return {
    start() {
      timer = setInterval(check, RENEWAL_CHECK_MS)
      timer.unref?.()
    },
    stop() {
      stopped = true
      clearInterval(timer)
      clearTimeout(ending)
      clearTimeout(retry)
    },
    watch,
    renew
  }
}
