import { Option, type Command } from 'commander'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { text } from 'node:stream/consumers'
import { MAX_MEMBER_NAME } from '../../protocols/member/messages.ts'
import { MeshError } from '../errors.ts'
import { contextOf, usageError, withNodeOptions, type NodeOptions } from './command-line.ts'
import { plain } from './output.ts'

interface JoinFlags extends NodeOptions {
  file?: string
  name?: string
}

/** `atmo join CODE`: this node becomes a member of the mesh of an invite. */
export function addJoin(program: Command): void {
  withNodeOptions(
    program
      .command('join')
      .description('join the mesh of an invite code')
      .argument('[code]', 'what atmo invite printed; - reads it from standard input (default: $ATMO_INVITE)')
  )
    .addOption(new Option('--file <file>', 'read the code from a file'))
    .option('--name <name>', 'what the members are told that this node is called (default: the host name)')
    .action(async (code: string | undefined, flags: JoinFlags) => {
      const { dataDir, output } = contextOf(flags)
      const given = await codeOf(code, flags.file)
      const name = (flags.name ?? hostname().split('.')[0] ?? '').slice(0, MAX_MEMBER_NAME)
      const { joinMesh } = await import('../node-join.ts')
      const mesh = await joinMesh(dataDir, given, name).catch((error: unknown) => {
        throw error instanceof MeshError && error.code === 'invalid_argument' ? usageError(error.message) : error
      })
      const { colors } = output
      await output.out(
        output.json
          ? `${JSON.stringify(mesh)}\n`
          : `${colors.green('●')} joined the mesh ${colors.bold(plain(mesh.name))} as ${mesh.role}\n` +
              colors.dim('  Start the node with: atmo start\n')
      )
      // libp2p may hold a socket for a moment after it has stopped.
      process.exit(0)
    })
}

async function codeOf(argument: string | undefined, file: string | undefined): Promise<string> {
  if (argument !== undefined && file !== undefined) throw usageError('name the code or a file with it, not both')
  if (file !== undefined) {
    return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw usageError(`cannot read ${file} (${error.code ?? error.message})`)
    })
  }
  if (argument === '-') return text(process.stdin)
  const code = argument ?? process.env['ATMO_INVITE']
  if (!code) throw usageError('which code? Give it as argument, with --file, in $ATMO_INVITE, or - for standard input')
  return code
}
