import type { Admission } from '../core/admission.ts'
import type { Load } from '../core/invoke.ts'

/** Weight of the newest service time. */
export const SERVICE_ALPHA = 0.1
/** After so long without a call the next one weighs much more, in ms: callers who stay away because it was slow could not learn otherwise. */
export const SERVICE_FORGET_MS = 30_000
/** A caller is told the load of a tool with its replies at most once in this time, in ms: within it nothing changes that matters. */
export const TELL_EVERY_MS = 10
/** Callers of a tool of which it is remembered when they were told; of others it is told more often. */
export const MAX_TOLD = 256

/** How busy this node is with one of its tools. */
export interface ToolLoad {
  /** A call has run for so long, in ms, without waiting. */
  took(ms: number): void
  /** What it is now. */
  now(): Load
  /** What it is without the call of `caller` that is ending; undefined if it was told a moment ago. */
  tell(caller: string): Load | undefined
}

/** @param now monotonic ms. */
export function createToolLoad(admission: Pick<Admission, 'running' | 'waiting' | 'slots'>, now: () => number): ToolLoad {
  let samples = 0
  let serviceMs = 0
  let usedAt = 0
  const told = new Map<string, number>()

  function load(ending: number): Load {
    const { running, waiting, slots } = admission
    const ageMs = running > 0 ? 0 : samples === 0 ? undefined : now() - usedAt
    return { running: Math.max(0, running + waiting - ending), slots, serviceMs: samples === 0 ? undefined : serviceMs, ageMs }
  }

  return {
    took(ms) {
      const at = now()
      // The first call often loads what all later ones need: the second takes its place.
      const alpha = Math.max(SERVICE_ALPHA, 1 / Math.max(1, samples), 1 - Math.exp((usedAt - at) / SERVICE_FORGET_MS))
      serviceMs += (ms - serviceMs) * alpha
      samples++
      usedAt = at
    },
    now: () => load(0),
    tell(caller) {
      const at = now()
      const before = told.get(caller)
      if (before !== undefined && at - before < TELL_EVERY_MS) return undefined
      told.delete(caller)
      told.set(caller, at)
      if (told.size > MAX_TOLD) told.delete(told.keys().next().value!)
      return load(1)
    }
  }
}
