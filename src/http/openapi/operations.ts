import { CLIENT_OPERATIONS } from './client-operations.ts'
import { EVENT_OPERATIONS } from './event-operations.ts'
import { MEMBER_OPERATIONS } from './member-operations.ts'
import { MESH_OPERATIONS } from './mesh-operations.ts'
import type { Operation } from './operation.ts'

/** Every route of the local API. One that does not stand here takes no query parameters, and a test fails. */
export const OPERATIONS: readonly Operation[] = [
  ...MESH_OPERATIONS,
  ...EVENT_OPERATIONS,
  ...MEMBER_OPERATIONS,
  ...CLIENT_OPERATIONS
]

/** As the router names it: `GET /mesh/approvals/:id`. */
export function routeOf({ method, path }: Pick<Operation, 'method' | 'path'>): string {
  return `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`
}
