/** What words mean to a node, with all that it is set up for: vectors, what it learns, what a model writes. */
import type { Offer } from './core/candidates.ts'
import type { Mesh } from './mesh-api.ts'
import type { MeshComponents } from './mesh-components.ts'
import { createMeshMeaning } from './mesh-meaning.ts'
import { meaningVectors } from './mesh-meaning-embedder.ts'
import { exampleWriter } from './mesh-meaning-writer.ts'

/** @param offers the same list as long as nothing has changed. @param onLearned something was learned, written or forgotten: words may mean something else. */
export function createUnderstanding(
  components: MeshComponents,
  call: Mesh['call'],
  offers: () => Offer[],
  onLearned: () => void
): ReturnType<typeof createMeshMeaning> {
  return createMeshMeaning({
    ...components,
    offers,
    vectors: meaningVectors(components, call, offers),
    writer: exampleWriter(components, call, offers, onLearned),
    onLearned
  })
}
