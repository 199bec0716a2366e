/** The scenario that shows calls: four nodes find each other, announce, call, stream, cancel, fail over and leave. */
import { createFleet } from './fleet.ts'
import { TREES, configOf } from './nodes.ts'
import type { Scenario } from './scenario.ts'
import { STEPS, type Stage } from './steps.ts'

/** See above. */
export const tour: Scenario = {
  title: 'four nodes on this machine, each a process of its own, on loopback only',
  cast: [
    ['desk', 'only calls'],
    ['attic', 'has an MCP server, the reference one'],
    ['cellar', 'has command tools: wc, sort, a counter'],
    ['garage', 'has the same ones']
  ],
  limitMs: 60_000,
  open({ programs, folder, report }) {
    const files = { 'trees.txt': `${TREES.join('\n')}\n` }
    const fleet = createFleet(programs, { folder, configOf, files })
    const stage: Stage = { fleet, report, nodes: new Map(), pids: new Set() }
    return { steps: STEPS.map(({ name, title, run }) => ({ name, title, run: () => run(stage) })), pids: stage.pids }
  }
}
