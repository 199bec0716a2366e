import { createDistanceVectorPolicy } from './distance-vector.ts'
import { createGradientPolicy } from './gradient.ts'
import type { CreatePolicy } from './policy.ts'
import { createReferencePolicy } from './reference.ts'

/** The algorithms that can be simulated, by name. */
export const POLICIES: Readonly<Record<string, CreatePolicy>> = {
  gradient: createGradientPolicy(),
  dv: createDistanceVectorPolicy,
  reference: createReferencePolicy(),
  'reference-intended': createReferencePolicy({ asIntended: true })
}
