import { Option, type Command } from 'commander'
import { hostname } from 'node:os'
import { MAX_MEMBER_NAME } from '../../protocols/member/messages.ts'
import { MeshError } from '../errors.ts'
import type { MeshStatus } from '../mesh-api.ts'
import { multiaddrProblem } from '../config-addresses.ts'
import { nodeNameProblem } from '../config-formats.ts'
import type { HandOver, MeshSummary } from '../node-enter.ts'
import { readCode } from './code-argument.ts'
import { contextOf, gather, usageError, withNodeOptions, type CommandContext, type NodeOptions } from './command-line.ts'
import { joinNearbyMesh, type NearbyFlags } from './join-nearby.ts'
import { plain } from './output.ts'
import { changingMesh, runningNode, untilInMesh } from './running-node.ts'

interface JoinFlags extends NodeOptions, NearbyFlags {
  file?: string
  name?: string
  nearby?: boolean
}

/** `atmo join CODE`, `atmo join --nearby`: this node becomes a member of a mesh. */
export function addJoin(program: Command): void {
  withNodeOptions(
    program
      .command('join')
      .description('join the mesh of an invite code, or one nearby whose door is open')
      .argument('[code]', 'what atmo invite printed; - reads it from standard input (default: $ATMO_INVITE)')
  )
    .addOption(new Option('--file <file>', 'read the code from a file'))
    .option('--nearby', 'look for meshes on this network instead; people at both sides compare six digits')
    .option('--mesh <name>', 'with --nearby: which one, by name or id, if several are seen')
    .option('--peer <multiaddr>', 'with --nearby: look at this address, too; may be given several times', gather)
    .option('--no-mdns', 'with --nearby: look at the given addresses only')
    .option('--yes', 'with --nearby: say yes here without a question; the digits are compared at the other side only')
    .option('--name <name>', 'what this node is called from now on (default: the host name)')
    .action(async (code: string | undefined, flags: JoinFlags) => {
      const context = contextOf(flags)
      const { colors } = context.output
      const { output } = context
      const problem = flags.name === undefined ? undefined : nodeNameProblem(flags.name)
      if (problem !== undefined) throw usageError(`--name: ${problem}`)
      const name = (flags.name ?? hostname().split('.')[0] ?? '').slice(0, MAX_MEMBER_NAME)
      const enter = await askerOf(context, name, code, flags)
      const { mesh, wasRunning } = await changingMesh(context.dataDir, 'atmo join', () => join(context, enter))
      await output.out(
        output.json
          ? `${JSON.stringify(mesh)}\n`
          : `${colors.green('●')} joined the mesh ${colors.bold(plain(mesh.name))} as ${mesh.role}\n` +
              colors.dim(wasRunning ? '  The node that runs here is in it now.\n' : '  Start the node with: atmo start\n')
      )
      // libp2p may hold a socket for a moment after it has stopped.
      process.exit(0)
    })
}

/** How this node is to get in. */
type Enter = (handOver: HandOver | undefined) => Promise<MeshSummary>

async function join({ dataDir }: CommandContext, enter: Enter): Promise<{ mesh: MeshSummary; wasRunning: boolean }> {
  const running = await runningNode(dataDir)
  if ((await running?.get<MeshStatus>('/mesh/status'))?.mesh.open)
    throw new MeshError('conflict', 'the node here was started with --open; stop it, and start it without')
  const mesh = await enter(running && ((obtained) => running.post('/mesh/enter', obtained)))
  if (running !== undefined) await untilInMesh(dataDir, running, (id) => id === mesh.id)
  return { mesh, wasRunning: running !== undefined }
}

/** @throws wrong usage. */
async function askerOf(context: CommandContext, name: string, code: string | undefined, flags: JoinFlags): Promise<Enter> {
  if (flags.nearby !== true) return joinByCode(context, name, code, flags)
  const checked = checkNearby(code, flags)
  return (handOver) => joinNearbyMesh(context, name, checked, handOver)
}

async function joinByCode(
  { dataDir }: CommandContext,
  name: string,
  argument: string | undefined,
  flags: JoinFlags
): Promise<Enter> {
  if (flags.mesh !== undefined || flags.peer !== undefined || flags.yes === true)
    throw usageError('--mesh, --peer and --yes go with --nearby')
  const code = await readCode({ kind: 'invite', argument, file: flags.file, variable: 'ATMO_INVITE' })
  const { joinMesh } = await import('../node-join.ts')
  return (handOver) =>
    joinMesh(dataDir, code, name, handOver).catch((error: unknown) => {
      throw error instanceof MeshError && error.code === 'invalid_argument' ? usageError(error.message) : error
    })
}

function checkNearby(code: string | undefined, flags: JoinFlags): JoinFlags {
  if (code !== undefined || flags.file !== undefined) throw usageError('a code, or --nearby: not both')
  if (!flags.mdns && flags.peer === undefined) throw usageError('with --no-mdns, name where to look: --peer MULTIADDR')
  const problem = flags.peer?.map(multiaddrProblem).find(Boolean)
  if (problem !== undefined) throw usageError(problem)
  return flags
}
