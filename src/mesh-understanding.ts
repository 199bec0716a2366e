/** What words mean to a node, with all that it is set up for: vectors, what it learns, what a model writes. */
import type { MeshComponents } from './mesh-components.ts'
import { createMeshMeaning } from './mesh-meaning.ts'
import { exampleWriter } from './mesh-meaning-writer.ts'
import { createMeshVectors, type MeshVectors, type MeshVectorsComponents } from './mesh-vectors.ts'

/** What it needs. */
export interface UnderstandingComponents extends MeshVectorsComponents, MeshComponents {
  /** Something was learned, written or forgotten: words may mean something else. */
  onLearned(): void
}

/** See the head of this file; `vectors` beside what is asked. */
export function createUnderstanding(components: UnderstandingComponents): Omit<ReturnType<typeof createMeshMeaning>, 'stop'> & {
  vectors: Omit<MeshVectors, 'vectors' | 'stop'>
  stop(): Promise<void>
} {
  const { call, offers, onLearned } = components
  const vectors = createMeshVectors(components)
  const writer = exampleWriter(components, call, offers, onLearned)
  const meaning = createMeshMeaning({ ...components, vectors: vectors.vectors, writer })
  return {
    ...meaning,
    vectors,
    async stop() {
      meaning.stop()
      await vectors.stop()
    }
  }
}
