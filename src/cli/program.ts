import { Command } from 'commander'
import { VERSION } from '../version.ts'
import { addAccept } from './accept.ts'
import { addAgents } from './agents.ts'
import { addApprovals } from './approvals.ts'
import { addAsk } from './ask.ts'
import { addAudit } from './audit.ts'
import { addCall } from './call.ts'
import { addCapabilities } from './capabilities.ts'
import { addCompletion } from './completion.ts'
import { wantsColor } from './output.ts'
import { addDeadLetters } from './dead-letters.ts'
import { addEvents } from './events.ts'
import { addFire } from './fire.ts'
import { addInit } from './init.ts'
import { addInvite } from './invite.ts'
import { addJoin } from './join.ts'
import { addLeave } from './leave.ts'
import { addMcp } from './mcp.ts'
import { addMembers } from './members.ts'
import { addPeers } from './peers.ts'
import { addRevoke } from './revoke.ts'
import { addRotate } from './rotate.ts'
import { addRoute } from './route.ts'
import { addRoutes } from './routes.ts'
import { addScan } from './scan.ts'
import { addStart } from './start.ts'
import { addStatus } from './status.ts'
import { addStop } from './stop.ts'
import { addTrace } from './trace.ts'
import { addTreaty } from './treaty.ts'
import { addWatch } from './watch.ts'

/** The command line with all its commands. It throws `CommanderError` where commander would end the process; `quiet` leaves telling it to others. */
export function createProgram(quiet: boolean): Command {
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
    .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 wrong usage. With --json every command prints JSON, its errors too.')
  const mesh = [
    addInit,
    addInvite,
    addJoin,
    addLeave,
    addMembers,
    addRevoke,
    addRotate,
    addTreaty,
    addApprovals,
    addAccept,
    addAudit
  ]
  const triggers = [addFire, addEvents, addDeadLetters]
  const ways = [addRoutes, addRoute, addTrace]
  const work = [addCapabilities, addCall, ...triggers, addAgents, addAsk, addMcp]
  for (const add of [addStart, addScan, ...mesh, addStatus, addPeers, ...ways, ...work, addWatch, addStop, addCompletion])
    add(program)
  return program
}
