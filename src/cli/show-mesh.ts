import type { MeshStatus } from '../mesh-api.ts'
import { plain, type Colors } from './output.ts'

/** That the membership of this node has ended, and what to do. */
export function showRevoked({ reason }: NonNullable<MeshStatus['mesh']['revoked']>, colors: Colors): string {
  const why = reason === '' ? '' : ` (${plain(reason)})`
  return `${colors.red(`this node was revoked${why}`)}${colors.dim('; a new invite lets it in again: atmo join')}`
}

/** A mesh for people: its name, and who may get in. */
export function showMesh({ name, open, role, revoked }: MeshStatus['mesh'], colors: Colors): string {
  const { bold } = colors
  if (open) return colors.yellow('open: everybody on this network is in, sees all and may call all')
  if (revoked !== undefined) {
    return `${bold(plain(name))}: ${showRevoked(revoked, colors)}`
  }
  const hint = role === 'owner' || role === 'admin' ? ', private; atmo invite lets others in' : `, private; this node is ${role}`
  return `${colors.bold(plain(name))}${colors.dim(hint)}`
}
