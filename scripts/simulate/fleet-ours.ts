import type { Candidate } from '../../src/core/dispatch/candidate.ts'
import type { Decision } from '../../src/core/dispatch/decision.ts'
import { createDispatcher } from '../../src/core/dispatch/dispatcher.ts'
import type { FleetCall, FleetWorld } from './fleet-world.ts'

/** The dispatcher of src/core, one for each caller, with probes, refusals and retries. */
export function ours(world: FleetWorld): (call: FleetCall) => void {
  const callers = Array.from({ length: world.init.callers }, (_, caller) => ({
    dispatcher: createDispatcher({ random: world.random }),
    candidates: candidatesOf(world, caller)
  }))

  return (call) => {
    const { dispatcher, candidates } = callers[call.caller]!
    dispatcher.called(world.now())
    const decision = dispatcher.order(candidates, {}, world.now())
    let waiting = decision.probe.length
    if (waiting === 0) return attempt(decision, 0)
    for (const candidate of decision.probe) {
      world.probe(call.caller, Number(candidate.node), (load) => {
        dispatcher.feedback(candidate, load, world.now())
        if (--waiting === 0) attempt(dispatcher.reorder(decision, world.now()), 0)
      })
    }

    function attempt(decided: Decision, tried: number): void {
      const candidate = decided.tries[tried]?.candidate
      if (candidate === undefined || (tried > 0 && !dispatcher.retry(tried))) {
        call.tookMs = Infinity
        return
      }
      const sentAt = world.now()
      dispatcher.began(candidate, sentAt)
      world.send(call, Number(candidate.node), true, (served, load) => {
        const now = world.now()
        dispatcher.feedback(candidate, load, now)
        dispatcher.ended(candidate, served ? 'ok' : 'busy', now - sentAt, now)
        if (served) call.tookMs = now - call.startedAt
        else attempt(decided, tried + 1)
      })
    }
  }
}

function candidatesOf(world: FleetWorld, caller: number): Candidate[] {
  return world.providers.map(({ kind }, index) => ({
    node: String(index),
    key: 'work',
    local: false,
    rttMs: world.rttMs(caller, index),
    slots: kind.slots
  }))
}
