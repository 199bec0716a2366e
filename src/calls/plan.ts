import type { Candidate, DispatchRequest, Ranked } from '../core/dispatch/candidate.ts'
import { isUsable, type Decision } from '../core/dispatch/decision.ts'
import type { Dispatcher } from '../core/dispatch/dispatcher.ts'
import type { Provider, ProviderClasses } from '../core/provider-classes.ts'
import { MeshError } from '../errors.ts'
import type { DispatchPreference } from '../mesh-api.ts'
import { MAX_ATTEMPTS } from './retry.ts'

/** Nothing is asked of the choice. One object, because most calls ask nothing. */
export const NO_PREFERENCE: DispatchRequest = {}

/** What a caller asks, with the nodes that it excludes as PeerIds already. */
export function requestOf({ prefer, notNode, maxLatencyMs }: DispatchPreference): DispatchRequest {
  if (prefer === undefined && notNode === undefined && maxLatencyMs === undefined) return NO_PREFERENCE
  return {
    ...(prefer !== undefined && { prefer }),
    ...(maxLatencyMs !== undefined && { maxLatencyMs }),
    ...(notNode !== undefined && { notNode })
  }
}

/** Why nobody is left, where what was asked leaves nobody. */
function nobodyLeft(
  dispatcher: Pick<Dispatcher, 'rank'>,
  all: readonly Provider[],
  request: DispatchRequest,
  now: number
): MeshError {
  const ranked = all.map((provider) => ({ name: provider.offer.nodeName, ...dispatcher.rank(provider, request, now) }))
  const excluded = ranked.filter(({ why }) => why === 'excluded').map(({ name }) => name)
  const late = ranked
    .filter(({ why }) => why === 'over max latency')
    .map(({ name, isGuess, rttMs, etaMs }) => `${name}: ${Math.ceil(isGuess ? rttMs : etaMs)} ms`)
  const reasons = [
    ...(excluded.length > 0 ? [`excluded by the caller: ${excluded.slice(0, MAX_NAMED).join(', ')}`] : []),
    ...(late.length > 0
      ? [`expected to take longer than the ${request.maxLatencyMs} ms that are allowed: ${late.slice(0, MAX_NAMED).join(', ')}`]
      : [])
  ]
  return new MeshError('unavailable', `of those who can run this, nobody is left (${reasons.join('; ')})`, {
    reason: 'preference',
    excluded: excluded.length,
    late: late.length
  })
}
const MAX_NAMED = 10

/**
 * Whom one call tries, one after the other: what is usable of the best class, then of the next, then what is full, and what could not be
 * reached only if there is nothing else. A class is looked at when it is needed.
 */
export class Plan {
  readonly #dispatcher: Dispatcher
  readonly #classes: readonly (readonly Provider[])[]
  readonly #all: readonly Provider[]
  readonly #request: DispatchRequest
  readonly #decisions: Decision[] = []
  #sticky: Ranked | undefined
  #tries: readonly Ranked[] = []
  #only: Provider | undefined

  /** @param sticky goes first though it may be full: it has begun this call before. */
  constructor(dispatcher: Dispatcher, of: ProviderClasses, request: DispatchRequest, now: number, sticky?: Provider) {
    this.#dispatcher = dispatcher
    this.#request = request
    this.#all = of.all
    this.#classes = of.classes
    if (of.all.length === 1 && request === NO_PREFERENCE) {
      this.#only = of.all[0]
      return
    }
    // Who prefers this node, prefers it to better ones.
    if (request.prefer === 'local' && of.local.length > 0) this.#classes = [of.local, ...of.classes]
    if (sticky !== undefined) this.#keepTo(dispatcher.rank(sticky, request, now))
    while (!this.isUsable(0) && this.#decisions.length < this.#classes.length) this.#look(now)
  }

  /** Why there is nobody to try. */
  nobody(now: number): MeshError {
    return nobodyLeft(this.#dispatcher, this.#all, this.#request, now)
  }

  /** Whom to ask for their load before anything is decided. */
  get probes(): readonly Candidate[] {
    return this.#decisions.at(-1)?.probe ?? []
  }

  /** They have answered, or not. */
  decideAgain(now: number): void {
    this.#decisions.push(this.#dispatcher.reorder(this.#decisions.pop()!, now))
    this.#merge()
  }

  /** The one to try after `place` others; undefined if there are no more. */
  at(place: number, now: number): Provider | undefined {
    if (this.#only !== undefined) return place === 0 ? this.#only : undefined
    while (!this.isUsable(place) && this.#decisions.length < this.#classes.length) this.#look(now)
    return this.#tries[place]?.candidate as Provider | undefined
  }

  /** Where the one stands that may be tried after the one at `place`; undefined if there is none. @param onlyHere only this node. */
  after(place: number, now: number, onlyHere: boolean): number | undefined {
    for (let next = place + 1; next < MAX_ATTEMPTS; next++) {
      const provider = this.at(next, now)
      if (provider === undefined) return undefined
      if (!onlyHere || provider.local) return next
    }
    return undefined
  }

  /** True if nothing speaks against the one at `place`, as far as classes were looked at. */
  isUsable(place: number): boolean {
    const ranked = this.#tries[place]
    return ranked !== undefined && isUsable(ranked)
  }

  /** All tries, in order. */
  ranked(now: number): readonly Ranked[] {
    while (this.#decisions.length < this.#classes.length) this.#look(now)
    return this.#tries
  }

  #keepTo(ranked: Ranked): void {
    if (!isUsable(ranked) && ranked.why !== 'full') return
    ranked.why = 'sampled'
    this.#sticky = ranked
    this.#merge()
  }

  #look(now: number): void {
    const candidates = this.#classes[this.#decisions.length]!
    this.#decisions.push(this.#dispatcher.order(candidates, this.#request, now))
    this.#merge()
  }

  #merge(): void {
    if (this.#sticky === undefined && this.#decisions.length === 1) {
      this.#tries = this.#decisions[0]!.tries
      return
    }
    const seen = new Set<Candidate>()
    const all = [...(this.#sticky === undefined ? [] : [this.#sticky]), ...this.#decisions.flatMap(({ tries }) => tries)]
    const once = all.filter(({ candidate }) => !seen.has(candidate) && seen.add(candidate))
    const able = [...once.filter(isUsable), ...once.filter(({ why }) => why === 'full')]
    this.#tries = able.length > 0 ? able : once
  }
}
