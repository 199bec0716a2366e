import type { MeshClock } from './mesh-clock.ts'
import type { KnownRoot, MeshState } from './mesh-state.ts'
import { withRoot } from './roots.ts'

/** Members with a clock ahead that are noted. */
const MAX_AHEAD = 256

/** What a node keeps of its mesh: as it was kept last, and how it is changed. */
export interface MeshRecord {
  readonly state: MeshState
  /** Members by certificates of a key of the mesh, also those that are yet to be kept. */
  readonly roots: readonly KnownRoot[]
  /** The last change could not be kept, and is with the next. */
  readonly isBehind: boolean
  /**
   * One after the other, each from what the one before left: two at once would each write what the other has not changed yet.
   * @param without PeerId of a node that is forgotten as a member. @throws MeshError `unavailable` if it cannot be kept: then nothing has changed.
   */
  change(update?: (before: MeshState) => Partial<MeshState>, without?: string): Promise<void>
  /** As `change`, of what holds whether it is kept or not. */
  follow(update: (before: MeshState) => Partial<MeshState>): Promise<void>
  /** Resolves when nothing waits to be kept. */
  settled(): Promise<void>
  /** A certificate by a key of the mesh was seen. @returns what takes that back, undefined if it is no news. */
  remember(root: KnownRoot): (() => void) | undefined
  /** A revocation of a member must come after what it ends, also if that begins a little later than now, by a clock that is ahead. */
  noteSince(node: string, since: number): void
  /** When a revocation of it is to be made, Unix time in s. */
  endingAt(node: string): number
}

/** @param save keeps the state; what it says has not happened before it resolves. */
export function createMeshRecord(
  first: MeshState,
  clock: Pick<MeshClock, 'nowS' | 'state'>,
  save: (state: MeshState) => Promise<void>
): MeshRecord {
  let state = first
  let roots = first.roots ?? []
  let isBehind = false
  let saving: Promise<void> = Promise.resolve()
  /** Since when, Unix time in s. */
  const ahead = new Map<string, number>()

  function change(update: (before: MeshState) => Partial<MeshState> = () => ({}), without?: string): Promise<void> {
    const isKept = ({ node }: KnownRoot): boolean => node !== without
    const saved = saving.then(async () => {
      const next = { ...state, ...update(state), roots: roots.filter(isKept), clock: clock.state() }
      await save(next)
      state = next
      roots = roots.filter(isKept)
    })
    saving = saved.catch(() => undefined)
    return saved
  }

  return {
    get state() {
      return state
    },
    get roots() {
      return roots
    },
    get isBehind() {
      return isBehind
    },
    change,
    async follow(update) {
      try {
        await change(update)
        isBehind = false
      } catch (error) {
        isBehind = true
        throw error
      }
    },
    settled: () => saving,
    remember(root) {
      const [before, next] = [roots, withRoot(roots, root, clock.nowS())]
      if (next === undefined) return undefined
      roots = next
      return () => {
        // Nothing else has come meanwhile, or it stays: it may only be known too well.
        if (roots === next) roots = before
      }
    },
    noteSince(node, since) {
      for (const [one, at] of ahead) if (at <= clock.nowS() || ahead.size >= MAX_AHEAD) ahead.delete(one)
      if (since > clock.nowS()) ahead.set(node, since)
    },
    endingAt: (node) => Math.max(clock.nowS(), ahead.get(node) ?? 0)
  }
}
