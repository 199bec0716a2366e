import { amongIds, findCandidates, findNamed, type Offer } from '../core/candidates.ts'
import { STARVING_MS } from '../core/dispatch/candidate-set.ts'
import type { DispatchRequest, Ranked } from '../core/dispatch/candidate.ts'
import { FAILURES_TO_OPEN } from '../core/dispatch/circuit-breaker.ts'
import { FULL_SLOTS, costMs as addedMs } from '../core/dispatch/expected-time.ts'
import type { Dispatcher } from '../core/dispatch/dispatcher.ts'
import type { Load } from '../core/invoke.ts'
import { classOf, hasWay, type Provider, type ProviderClasses } from '../core/provider-classes.ts'
import { statusOf } from '../core/query.ts'
import { UNITS_PER_MS } from '../core/routing/metric.ts'
import { DEMOTED_COST } from '../core/routing/neighbour-trust.ts'
import type { ExplainedCandidate, Explanation, MeshRoutes } from '../mesh-api.ts'
import { excludedNodes, type KnownNode } from './excluded.ts'
import { Plan, requestOf } from './plan.ts'
import { MAX_ATTEMPTS } from './retry.ts'

/** What explaining needs. */
export interface ExplainComponents {
  /** Everything that is offered now, by this node and others. */
  offers(): Offer[]
  /** All nodes that may be excluded by their names. */
  nodes(): Iterable<KnownNode>
  dispatcher: Dispatcher
  /** How busy this node itself is with a tool. */
  loadHere(capability: string, tool: string): Load | undefined
  /** As of calls. */
  whyNotFound(error: unknown, target: string, node: string | undefined): unknown
  now: () => number
}

/** Says who would be called, and why; see {@link MeshRoutes}. */
export function createExplain({
  offers,
  nodes,
  dispatcher,
  loadHere,
  whyNotFound,
  now
}: ExplainComponents): MeshRoutes['explain'] {
  function find(
    target: string,
    tool: string | undefined,
    node: string | undefined,
    ids: readonly string[] | undefined
  ): ProviderClasses {
    try {
      const its =
        tool ?? findNamed(amongIds(offers(), ids), target, node).named.flatMap(({ capability: { tools = [] } }) => tools)[0]?.name
      return findCandidates(offers(), target, its ?? '', node, ids).providers
    } catch (error) {
      throw whyNotFound(error, target, node)
    }
  }

  return (target, tool, { node, ids, notNode, ...preference } = {}): Explanation => {
    const providers = find(target, tool, node, ids)
    const at = now()
    const request = requestOf({ ...preference, ...(notNode !== undefined && { notNode: excludedNodes(notNode, nodes()) }) })
    for (const own of providers.local) {
      const load = loadHere(own.offer.capability.id, own.tool)
      if (load !== undefined) dispatcher.feedback(own, load, at)
    }
    const tries = new Plan(dispatcher, providers, request, at).ranked(at)
    const named = new Set(tries.map(({ candidate }) => candidate))
    const others = providers.all.filter((one) => !named.has(one)).map((one) => dispatcher.rank(one, request, at))
    others.sort((a, b) => a.score - b.score)
    return {
      target,
      tool: [...new Set(providers.all.map((one) => one.tool))].join(', '),
      candidates: [...tries, ...others].map((ranked, n) =>
        explained(ranked, n < Math.min(tries.length, MAX_ATTEMPTS) ? n + 1 : null, tries[0], request)
      )
    }
  }
}

function explained(ranked: Ranked, place: number | null, best: Ranked | undefined, request: DispatchRequest): ExplainedCandidate {
  const { offer, tool } = ranked.candidate as Provider
  const { node, nodeName, capability, local, direct, via, hops } = offer
  const isReachable = hasWay(offer)
  // What would be guessed of a way that nobody knows, says nothing.
  const isGuess = ranked.isGuess || !isReachable
  // Sums are of what is shown, so that they add up.
  const [rttMs, serviceMs, costMs] = [rounded(ranked.rttMs), rounded(ranked.serviceMs), rounded(ranked.costMs)]
  const waitMs = Math.max(0, rounded(ranked.etaMs - ranked.rttMs - ranked.serviceMs))
  const etaMs = isGuess ? rounded(ranked.etaMs) : rounded(rttMs + waitMs + serviceMs)
  return {
    node,
    nodeName,
    capability: capability.id,
    tool,
    local,
    direct,
    via: via ?? null,
    hops: local ? 0 : direct ? 1 : (hops ?? null),
    avoided: isAvoided(offer),
    status: statusOf(capability),
    place,
    why: isReachable ? ranked.why : 'unreachable',
    reason: [
      isReachable ? reasonOf(ranked, place, best, request) : 'a call would have to find a way to it first',
      ...wayReasons(offer),
      ...classReasons(offer, best)
    ].join('; '),
    rttMs: isReachable ? rttMs : null,
    waitMs: isGuess ? null : waitMs,
    serviceMs: isGuess ? null : serviceMs,
    etaMs: isGuess ? null : etaMs,
    costMs,
    score: rounded(etaMs + costMs),
    running: rounded(ranked.running),
    outstanding: ranked.outstanding,
    slots: ranked.slots,
    heardMs: Number.isFinite(ranked.heardMs) ? rounded(ranked.heardMs) : null
  }
}

function reasonOf(ranked: Ranked, place: number | null, best: Ranked | undefined, request: DispatchRequest): string {
  const { why, running, slots } = ranked
  const expected = `${expectation(ranked)}${costWords(ranked, request.prefer)}`
  switch (why) {
    case 'local':
      return `this node itself, ${expected}`
    case 'sampled':
      if (place === 1) return `${expected}: the first of those that were compared`
      return `${expected}: later than ${nameOf(best)}, and tried if that fails`
    case 'explored':
      return `it has had no call of this kind for ${STARVING_MS / 1_000} s: one of a hundred calls finds out whether it is better than it was`
    case 'reserve':
      return place === null ? `${expected}: after others that would be tried` : `${expected}: tried if those before it fail`
    case 'not sampled':
      return `${expected}: not among the few that were drawn for this call; another call may draw it`
    case 'breaker open':
      return `the last ${FAILURES_TO_OPEN} calls or more could not be done there: it is left alone for some seconds`
    case 'full':
      return running < FULL_SLOTS * slots
        ? 'it has refused a call of this node: it is left alone for a while'
        : `about ${Math.round(running)} calls run and wait there, at ${slots} at once: it would probably refuse`
    case 'over max latency':
      return `${expected}: longer than the ${shown(request.maxLatencyMs!)} that are allowed`
    case 'excluded':
      return 'the caller excludes it'
  }
}

function expectation({ isGuess, rttMs, etaMs }: Ranked): string {
  if (!isGuess) return `expected to be done in ${shown(etaMs)}`
  const unknown = 'nothing is known of how long it takes there'
  return etaMs > rttMs ? `${unknown}, which counts as ${shown(etaMs - rttMs)}` : `${unknown}, so a call finds out`
}

/** What cost adds, each part by itself. */
function costWords({ candidate: { cost }, costMs }: Ranked, prefer: DispatchRequest['prefer']): string {
  if (cost === undefined || costMs === 0) return ''
  const { power, metered, price = 0 } = cost
  const parts = [
    [power === 'low-battery' ? 'its nearly empty battery' : 'its battery', addedMs({ power }, prefer)],
    ['its metered link', addedMs({ metered }, prefer)],
    [`its price of ${price} ${price === 1 ? 'cent' : 'cents'}`, addedMs({ price }, prefer)]
  ] as const
  const words = parts.filter(([, ms]) => ms > 0).map(([what, ms]) => `${what} as ${shown(ms)} more`)
  return `, and ${words.join(', ').replace(' as ', ' counts as ')}`
}

function isAvoided({ direct, metricMs }: Offer): boolean {
  return !direct && metricMs !== undefined && metricMs >= DEMOTED_COST / UNITS_PER_MS
}

function wayReasons(offer: Offer): string[] {
  return isAvoided(offer)
    ? [`the way there is avoided: calls through it did not come back, which counts as ${shown(DEMOTED_COST / UNITS_PER_MS)} more`]
    : []
}

/** Why it comes after all of a better class. */
function classReasons(offer: Offer, best: Ranked | undefined): string[] {
  const first = (best?.candidate as Provider | undefined)?.offer
  if (first === undefined || first === offer || classOf(offer) <= classOf(first)) return []
  const status = statusOf(offer.capability)
  const reasons = [
    ...(offer.mesh === undefined ? [] : ['of another mesh']),
    ...(hasWay(offer) ? [] : ['no way to it is known']),
    ...(status === 'online' ? [] : [`it says of itself that it is ${status}`])
  ]
  return [`${reasons.join(', ')}: only if no better one is left`]
}

const nameOf = (ranked: Ranked | undefined): string => (ranked?.candidate as Provider | undefined)?.offer.nodeName ?? 'another'
const rounded = (value: number): number => Math.round(value * 100) / 100
const shown = (ms: number): string =>
  ms >= 1_000 ? `${Number((ms / 1_000).toFixed(1))} s` : `${ms < 10 ? Math.round(ms * 10) / 10 : Math.round(ms)} ms`
