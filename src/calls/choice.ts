import type { Candidates } from '../core/candidates.ts'
import type { Outcome } from '../core/dispatch/candidate.ts'
import type { Dispatcher } from '../core/dispatch/dispatcher.ts'
import type { Load, ToolRequest } from '../core/invoke.ts'
import type { Provider } from '../core/provider-classes.ts'
import type { MeshError } from '../errors.ts'
import type { CallOptions } from '../mesh-api.ts'
import type { KeyedProviders } from './keyed-providers.ts'
import type { LoadProbes } from './load-probes.ts'
import { Plan, requestOf } from './plan.ts'
import { isSentElsewhere, loadOf } from './retry.ts'

/** Chooses the providers of calls, and learns from how the calls end. */
export interface Choice {
  /** Whom a call tries; `notNode` as PeerIds. @throws MeshError `unavailable` if what was asked leaves nobody; that of the call before (`attempt`) if no retry is left. */
  plan(able: Candidates, tool: string, options: CallOptions): Plan
  /** Asks those that the plan names how busy they are; then it has to decide again. Never rejects. */
  probe(plan: Plan, tool: string, causes: readonly string[] | undefined): Promise<void>
  /** A try begins. Asks for the load of one of several, and says whether the call can go elsewhere: `hasNext`. */
  began(request: ToolRequest, provider: Provider, isOneOfSeveral: boolean, hasNext: boolean): void
  /** True if a call whose `retry`th further try this is, may go on to another provider after this error. @param offered the provider was told that it can. */
  mayGoOn(error: MeshError, retry: number, offered: boolean): boolean
  /** A try has ended. @param tookMs without the time in which this side held it up. */
  ended(provider: Provider, outcome: Outcome, error: MeshError | undefined, tookMs: number): void
}

/** What choosing needs. */
export interface ChoiceComponents {
  dispatcher: Dispatcher
  probes: LoadProbes
  /** How busy this node itself is with a tool. */
  loadHere(capability: string, tool: string): Load | undefined
  keyed: KeyedProviders
  now: () => number
}

/** See {@link Choice}. */
export function createChoice({ dispatcher, probes, loadHere, keyed, now }: ChoiceComponents): Choice {
  return {
    plan({ offers, providers }, tool, options) {
      const at = now()
      const request = requestOf(options)
      const { attempt } = options
      if (attempt?.after === undefined) {
        if (offers.length > 1 || attempt !== undefined) dispatcher.called(at)
      } else if (attempt.after.code === 'busy' && !dispatcher.retry(1)) throw attempt.after
      if (offers.length > 1) {
        const [local] = providers.local
        const load = local && loadHere(local.offer.capability.id, tool)
        if (load !== undefined) dispatcher.feedback(local!, load, at)
      }
      const given = options.idempotencyKey === undefined ? undefined : keyed.of(keyOf(providers.all[0]!, options.idempotencyKey))
      const sticky = given === undefined ? undefined : providers.all.find(({ node }) => node === given)
      const plan = new Plan(dispatcher, providers, request, at, sticky)
      if (plan.at(0, at) === undefined) throw plan.nobody(at)
      return plan
    },
    probe: (plan, tool, causes) => probes.ask(plan.probes, tool, causes),
    began(request, provider, isOneOfSeveral, hasNext) {
      const { idempotencyKey } = request
      if (idempotencyKey !== undefined) keyed.given(keyOf(provider, idempotencyKey), provider.node)
      if (isOneOfSeveral && !provider.local)
        request.question = { only: false, answer: (load) => dispatcher.feedback(provider, load, now()) }
      if (hasNext) request.elsewhere = dispatcher.canRetry
      dispatcher.began(provider, now())
    },
    // Who cannot be had, is soon left alone by all; who refuses, would refuse many more calls: only those tries are paid for.
    mayGoOn(error, retry, offered) {
      if (!offered || !isSentElsewhere(error)) return error.code !== 'busy' || dispatcher.retry(retry)
      dispatcher.oweRetry()
      return true
    },
    ended(provider, outcome, error, tookMs) {
      const at = now()
      if (outcome === 'busy') {
        const load = loadOf(error!)
        if (load !== undefined) dispatcher.feedback(provider, load, at)
        const { retryAfterMs } = error!.details
        if (typeof retryAfterMs === 'number') dispatcher.refused(provider, retryAfterMs, at)
      }
      dispatcher.ended(provider, outcome, tookMs, at)
    }
  }
}

/** The same key for another tool is another call. */
function keyOf({ offer, tool }: Provider, key: string): string {
  return `${offer.capability.type}\n${tool}\n${key}`
}
