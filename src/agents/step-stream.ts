import type { JsonValue } from '../core/invoke.ts'
import type { AgentStep } from './intent.ts'

/** Yields the steps of some work as they are done, and returns what it comes to. Throws what it fails with, after its steps. */
export async function* streamSteps(
  start: (onStep: (step: AgentStep) => void) => Promise<JsonValue>
): AsyncGenerator<AgentStep, JsonValue, void> {
  const steps: AgentStep[] = []
  let onChange: (() => void) | undefined
  let over = false
  const done = start((step) => {
    steps.push(step)
    onChange?.()
  })
  const end = (): void => {
    over = true
    onChange?.()
  }
  done.then(end, end)
  while (!over || steps.length > 0) {
    const step = steps.shift()
    if (step !== undefined) yield step
    else await new Promise<void>((resolve) => (onChange = resolve))
  }
  return done
}
