import type { CapabilityDeclaration, CapabilityStatus } from '../../protocols/capability.ts'

/** The snapshot of a backend with one capability, in a state, and why. */
export function inState(
  declaration: CapabilityDeclaration,
  status: CapabilityStatus,
  statusReason?: string
): CapabilityDeclaration[] {
  return [statusReason === undefined ? { ...declaration, status } : { ...declaration, status, statusReason }]
}

/** Online, or offline with the problem if there is one. */
export function onlineUnless(declaration: CapabilityDeclaration, problem: string | undefined): CapabilityDeclaration[] {
  return problem === undefined ? inState(declaration, 'online') : inState(declaration, 'offline', problem)
}
