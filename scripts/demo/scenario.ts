/** What a scenario of the demo is. */
import type { Programs } from './programs.ts'
import type { Report, StepResult } from './report.ts'

/** What a scenario is given. */
export interface ScenarioParts {
  programs: Programs
  /** Is removed at the end. */
  folder: string
  report: Report
  signal: AbortSignal
}

/** One step, checked. Throws what did not hold. */
export interface ScenarioStep {
  name: string
  title: string
  run(): Promise<StepResult>
}

/** A scenario that is about to run. */
export interface Stage {
  /** A step needs those before it. */
  steps: ScenarioStep[]
  /** Processes that are none of ours, and must be gone at the end. */
  pids?: Iterable<number>
  /** After the last step, or the first that failed: prints what there is to see, and gives what `--json` has beside the steps. */
  conclude?(): Record<string, unknown>
}

/** A scenario. */
export interface Scenario {
  title: string
  /** Who takes part, and what it does. */
  cast: [name: string, what: string][]
  /** Time for all of it, in ms. */
  limitMs: number
  /** @throws DemoError if it cannot be run here. */
  open(parts: ScenarioParts): Stage
}
