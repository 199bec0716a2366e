/** Vectors put together: what makes them, those that this node gives to others and takes from them, and requests in words that they are compared with. */
import type { EmbeddingRequest } from '../protocols/embedding/messages.ts'
import type { Offer } from './core/candidates.ts'
import type { MeshError } from './errors.ts'
import type { Mesh } from './mesh-api.ts'
import type { MeshComponents } from './mesh-components.ts'
import { createEmbeddings } from './mesh-embeddings.ts'
import { createCapabilityEmbedder } from './mesh-meaning-embedder.ts'
import { createMeaningVectors, type MeaningVectors } from './mesh-meaning-vectors.ts'
import { createOwnVectors } from './mesh-own-vectors.ts'
import { createToldVectors } from './mesh-told-vectors.ts'
import { askVectors, createEmbeddingProtocol } from './net/embedding.ts'
import { createSessions } from './net/sessions.ts'

/** What it needs. */
export interface MeshVectorsComponents extends Pick<MeshComponents, 'libp2p' | 'meaning' | 'now' | 'random' | 'log'> {
  call: Mesh['call']
  /** The same list as long as nothing has changed. */
  offers(): Offer[]
  /** The model of which a node announces that it gives vectors. */
  modelOf(node: string): string | undefined
  nameOf(node: string): string | undefined
  /** What this node announces of that is another now. */
  onAnnounce(): void
  onFault(peer: string, error: MeshError): void
}

/** See the head of this file. */
export interface MeshVectors {
  /** Undefined where a node is not set up for vectors. */
  vectors: MeaningVectors | undefined
  /** The model of which this node gives vectors, to be announced. */
  announced(): string | undefined
  /** What this node offers may have changed. */
  changed(): void
  /** Before libp2p starts. */
  start(): Promise<void>
  stop(): Promise<void>
}

/** See {@link MeshVectors}. */
export function createMeshVectors(components: MeshVectorsComponents): MeshVectors {
  const { libp2p, meaning, now, random, log, call, offers, modelOf, nameOf, onAnnounce, onFault } = components
  if (meaning === undefined) return NONE
  const { embedder, form } = meaning
  const from = 'capability' in embedder ? createCapabilityEmbedder({ target: embedder.capability, call, offers }) : embedder
  const embeddings = createEmbeddings({ embedder: from, form, now })
  const own = createOwnVectors({ embeddings, offers, onAnnounce })
  const sessions = createSessions({ libp2p, now, onFault }, createEmbeddingProtocol(own.give))

  async function* ask(
    node: string,
    request: EmbeddingRequest,
    width: number,
    signal: AbortSignal
  ): ReturnType<typeof askVectors> {
    return yield* askVectors(await sessions.get(node), request, { width, signal })
  }
  const told = createToldVectors({
    ...{ embeddings, modelOf, ask, random },
    onDisagreed(node, model) {
      vectors.disbelieve(node)
      const name = nameOf(node) ?? node
      log('warn', `vectors that ${name} gives as those of ${model} are not like those of this node, which makes them itself`)
    }
  })
  // Whole numbers are told: whoever wants floats makes them.
  const vectors = createMeaningVectors({ embeddings, told: form === 'float' ? undefined : told, now })

  return {
    vectors,
    announced: () => own.announced,
    changed: own.changed,
    start: sessions.start,
    async stop() {
      embeddings.stop()
      own.stop()
      await sessions.stop()
    }
  }
}

const NONE: MeshVectors = {
  vectors: undefined,
  announced: () => undefined,
  changed: () => undefined,
  start: () => Promise.resolve(),
  stop: () => Promise.resolve()
}
