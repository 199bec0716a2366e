import { ROLES } from '../../protocols/member/messages.ts'
import { MAX_KEEPS } from '../../protocols/member/succession.ts'
import { MAX_ISSUED, type KnownRoot } from './mesh-state.ts'

/**
 * What is known of who is a member by the key of the mesh, after another certificate was seen; undefined if nothing changes.
 * Who was seen as an owner stays one: it has the key, whatever certificate it shows later. @param nowS Unix time in s.
 */
export function withRoot(
  roots: readonly KnownRoot[],
  { node, name, role, since, until }: KnownRoot,
  nowS: number
): KnownRoot[] | undefined {
  const old = roots.find((one) => one.node === node)
  const highest = ROLES[Math.min(ROLES.indexOf(role), ROLES.indexOf(old?.role ?? role))]!
  if (old?.role === highest && old.until >= until && old.since >= since && old.name === name) return undefined
  const others = roots.filter((one) => one.node !== node && one.until >= nowS)
  return [...others, { node, name, role: highest, since, until }].slice(-MAX_ISSUED)
}

/** Whose certificates are to stay good: those that may still hold, owners first, then those that hold longest. @param nowS Unix time in s. */
export function keptRoots(roots: readonly KnownRoot[], isOut: (root: KnownRoot) => boolean, nowS: number): KnownRoot[] {
  const rank = ({ role }: KnownRoot): number => (role === 'owner' ? 0 : 1)
  return roots
    .filter((root) => root.until >= nowS && !isOut(root))
    .sort((a, b) => rank(a) - rank(b) || b.until - a.until)
    .slice(0, MAX_KEEPS)
}
