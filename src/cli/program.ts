import { Command } from 'commander'
import { VERSION } from '../version.ts'
import { wantsColor } from './output.ts'

/** The commands in the order of the help, each loaded when it is needed: what one asks of a running node is there in half the time. */
const COMMANDS: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  start: async () => (await import('./start.ts')).addStart,
  scan: async () => (await import('./scan.ts')).addScan,
  init: async () => (await import('./init.ts')).addInit,
  invite: async () => (await import('./invite.ts')).addInvite,
  join: async () => (await import('./join.ts')).addJoin,
  leave: async () => (await import('./leave.ts')).addLeave,
  members: async () => (await import('./members.ts')).addMembers,
  revoke: async () => (await import('./revoke.ts')).addRevoke,
  rotate: async () => (await import('./rotate.ts')).addRotate,
  treaty: async () => (await import('./treaty.ts')).addTreaty,
  approvals: async () => (await import('./approvals.ts')).addApprovals,
  accept: async () => (await import('./accept.ts')).addAccept,
  audit: async () => (await import('./audit.ts')).addAudit,
  status: async () => (await import('./status.ts')).addStatus,
  peers: async () => (await import('./peers.ts')).addPeers,
  routes: async () => (await import('./routes.ts')).addRoutes,
  route: async () => (await import('./route.ts')).addRoute,
  trace: async () => (await import('./trace.ts')).addTrace,
  capabilities: async () => (await import('./capabilities.ts')).addCapabilities,
  call: async () => (await import('./call.ts')).addCall,
  fire: async () => (await import('./fire.ts')).addFire,
  events: async () => (await import('./events.ts')).addEvents,
  'dead-letters': async () => (await import('./dead-letters.ts')).addDeadLetters,
  agents: async () => (await import('./agents.ts')).addAgents,
  ask: async () => (await import('./ask.ts')).addAsk,
  examples: async () => (await import('./examples.ts')).addExamples,
  mcp: async () => (await import('./mcp.ts')).addMcp,
  watch: async () => (await import('./watch.ts')).addWatch,
  stop: async () => (await import('./stop.ts')).addStop,
  completion: async () => (await import('./completion.ts')).addCompletion
}
/** What this one prints is made from all the others. */
const NEEDS_ALL = 'completion'

/**
 * The command line. It throws `CommanderError` where commander would end the process; `quiet` leaves telling it to others.
 * @param argv of which only the command that it names is loaded; all are where it names none.
 */
export async function createProgram(quiet: boolean, argv: readonly string[] = []): Promise<Command> {
  const program = new Command('atmo')
    .description('Route work to whoever can do it: a peer-to-peer mesh of tools and triggers.')
    .version(VERSION)
    .exitOverride()
    .configureOutput({
      writeErr: (text) => void (quiet || process.stderr.write(text)),
      getOutHasColors: () => wantsColor(process.stdout),
      getErrHasColors: () => wantsColor(process.stderr)
    })
    .showHelpAfterError('(see --help)')
    .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 wrong usage. With --json commands print JSON, their errors too.')
  const [name = ''] = argv
  const isOne = Object.hasOwn(COMMANDS, name) && name !== NEEDS_ALL
  const loaded = await Promise.all((isOne ? [COMMANDS[name]!] : Object.values(COMMANDS)).map((load) => load()))
  for (const add of loaded) add(program)
  return program
}
