import { createInterface } from 'node:readline/promises'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { MAX_TREATY_REASON } from '../../protocols/treaty/messages.ts'
import { MeshError, isMeshError } from '../errors.ts'
import type { MeshStatus, TreatyCode, TreatyView } from '../mesh-api.ts'
import { connectToNode, type NodeClient } from './client.ts'
import { readCode } from './code-argument.ts'
import {
  contextOf,
  gather,
  interruptSignal,
  refuseUnknownCommand,
  usageError,
  withNodeOptions,
  type CommandContext,
  type NodeOptions
} from './command-line.ts'
import { plain, table, type Colors } from './output.ts'

interface OfferFlags extends NodeOptions {
  with: string
  name?: string
  lend?: string[]
  borrow?: string[]
  for?: number
}

const DAY_MS = 86_400_000

/** `atmo treaty list|offer|show|accept|revoke`: what this mesh lends to others and borrows from them. */
export function addTreaty(program: Command): void {
  const treaty = withNodeOptions(
    program.command('treaty').description('agree with other meshes on what you lend each other').allowExcessArguments()
  ).action((options: NodeOptions, command: Command) => {
    refuseUnknownCommand(command)
    return list(contextOf(options))
  })
  const about = (command: string, description: string): Command =>
    withNodeOptions(treaty.command(command).description(description))
  // Options that stand before the name of a subcommand belong to `treaty`; the command sees both.
  const inContext = (command: Command): CommandContext => contextOf(command.optsWithGlobals<NodeOptions>())

  about('list', 'list the treaties of this mesh').action((_options: NodeOptions, command: Command) => list(inContext(command)))

  about('offer', 'print the code of a treaty that this mesh offers to another one')
    .requiredOption('--with <mesh>', 'id of the other mesh; its owner sees it in: atmo treaty list')
    .option('--lend <type>', 'glob over types that this mesh lends, such as "sensor/*"; may be given several times', gather)
    .option('--borrow <type>', 'glob over types that it borrows; may be given several times', gather)
    .option('--name <name>', 'what the other mesh is called here (default: the end of its id)')
    .option('--for <duration>', 'how long the treaty is to hold, such as 12h or 30d, up to 365d (default: 90d)', parseTerm)
    .action(async (flags: OfferFlags, command: Command) => {
      const { dataDir, output } = inContext(command)
      const { with: mesh, name, lend: lends, borrow: borrows, for: forMs } = flags
      const client = await connectToNode(dataDir)
      const made = await orUsage(client.post<TreatyCode>('/mesh/treaties/offers', { mesh, name, lends, borrows, forMs }))
      if (output.json) return output.out(`${JSON.stringify(made)}\n`)
      await output.err(`${showTreaty(made.treaty, output.errorColors)}\n`)
      await output.err(
        output.errorColors.dim('For the owner of the other mesh alone; to take it back, name the number to atmo treaty revoke:\n')
      )
      return output.out(process.stdout.isTTY ? `atmo treaty accept ${output.colors.bold(made.code)}\n` : `${made.code}\n`)
    })

  withCode(about('show', 'show what a code of a treaty holds; nothing is signed')).action(
    async (argument: string | undefined, { file }: { file?: string }, command: Command) => {
      const { dataDir, output } = inContext(command)
      const code = await readCode({ kind: 'treaty', argument, file })
      const shown = await show(await connectToNode(dataDir), code)
      return output.out(output.json ? `${JSON.stringify(shown)}\n` : `${showTreaty(shown.treaty, output.colors)}\n`)
    }
  )

  withCode(about('accept', 'sign the treaty of a code, or take in one that both sides have signed'))
    .option('--yes', 'sign without a question')
    .action(async (argument: string | undefined, { file, yes }: { file?: string; yes?: boolean }, command: Command) =>
      accept(inContext(command), await readCode({ kind: 'treaty', argument, file }), yes === true)
    )

  about('revoke', 'end a treaty: everywhere, at once, for good')
    .argument('<treaty>', 'its number, or the name of the other mesh, as in atmo treaty list')
    .option('--reason <text>', 'for people, of both meshes')
    .action(async (named: string, { reason = '' }: { reason?: string }, command: Command) => {
      const { dataDir, output } = inContext(command)
      if (reason.length > MAX_TREATY_REASON) throw usageError(`--reason: at most ${MAX_TREATY_REASON} characters`)
      const client = await connectToNode(dataDir)
      const ended = await client.post<TreatyView>('/mesh/treaties/revocations', { treaty: named, reason })
      const { colors } = output
      return output.out(
        output.json
          ? `${JSON.stringify(ended)}\n`
          : `revoked the treaty ${ended.name === '' ? ended.serial : `with ${colors.bold(plain(ended.name))}`}; nothing is lent by it any more\n`
      )
    })
}

const withCode = (command: Command): Command =>
  command
    .argument('[code]', 'what atmo treaty offer or accept printed; - reads it from standard input')
    .addOption(new Option('--file <file>', 'read the code from a file'))

async function list({ dataDir, output }: CommandContext): Promise<void> {
  const client = await connectToNode(dataDir)
  const answer = await client.get<{ mesh: MeshStatus['mesh']; treaties: TreatyView[] }>('/mesh/treaties')
  if (output.json) return output.out(`${JSON.stringify(answer)}\n`)
  const { colors } = output
  const rows = answer.treaties.map(({ name, serial, state, lends, borrows, connected, notAfter }) => [
    { text: name, style: colors.bold },
    serial,
    { text: state.replaceAll('_', ' '), style: state === 'in_force' ? colors.green : colors.yellow },
    notAfter.slice(0, 10),
    String(connected),
    lends.join(' ') || '-',
    borrows.join(' ') || '-'
  ])
  await output.out(
    rows.length === 0
      ? 'No treaties yet. Offer one with: atmo treaty offer\n'
      : table(['with', 'number', 'state', 'until', 'nodes', 'lends', 'borrows'], rows, colors)
  )
  await output.err(output.errorColors.dim(`This mesh is ${answer.mesh.id}\n`))
}

type Shown = { treaty: TreatyView; signs: boolean }

const show = (client: NodeClient, code: string): Promise<Shown> => orUsage(client.post<Shown>('/mesh/treaties/show', { code }))

async function accept({ dataDir, output }: CommandContext, code: string, yes: boolean): Promise<void> {
  const client = await connectToNode(dataDir)
  const { treaty, signs } = await show(client, code)
  if (!output.json) await output.err(`${showTreaty(treaty, output.errorColors)}\n`)
  // What both have signed is agreed: there is nothing left to ask.
  if (signs && !yes) await confirm(treaty)
  const made = await orUsage(client.post<TreatyCode>('/mesh/treaties', { code }))
  if (output.json) return output.out(`${JSON.stringify(made)}\n`)
  const { colors, errorColors } = output
  if (!signs) return output.out(`${colors.green('●')} the treaty with ${colors.bold(plain(made.treaty.name))} is in force\n`)
  await output.err(errorColors.dim('Signed. Now back to who offered it, who takes it in:\n'))
  return output.out(process.stdout.isTTY ? `atmo treaty accept ${colors.bold(made.code)}\n` : `${made.code}\n`)
}

async function confirm({ name }: TreatyView): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw usageError('nobody is here to be asked: look at it with atmo treaty show, and sign it with --yes')
  const reader = createInterface({ input: process.stdin, output: process.stderr })
  const { signal, off } = interruptSignal()
  try {
    const answer = await reader.question(`Sign this treaty with ${plain(name)} for the whole mesh? [y/N] `, { signal })
    if (!/^y(es)?$/i.test(answer.trim())) throw new MeshError('cancelled', 'not signed; nothing has changed')
  } finally {
    off()
    reader.close()
  }
}

function showTreaty(
  { name, mesh, serial, lends, borrows, notBefore, notAfter, state, revoked }: TreatyView,
  colors: Colors
): string {
  const types = (all: string[]): string => (all.length === 0 ? colors.dim('nothing') : all.map(plain).join('  '))
  const lines = [
    `${colors.bold(plain(name))}  ${colors.dim(plain(mesh))}`,
    `  this mesh lends    ${types(lends)}`,
    `  this mesh borrows  ${types(borrows)}`,
    `  from ${notBefore.slice(0, 16)} to ${notAfter.slice(0, 16)} UTC, number ${serial}, ${state.replaceAll('_', ' ')}`
  ]
  if (revoked !== undefined) lines.push(`  revoked: ${plain(revoked.reason) || 'no reason given'}`)
  return lines.join('\n')
}

/** What the node refuses of what a person typed is wrong usage, unless only the node can know that it is wrong. */
async function orUsage<T>(answer: Promise<T>): Promise<T> {
  return answer.catch((error: unknown) => {
    throw isMeshError(error, 'invalid_argument') && error.details['reason'] !== 'own_mesh' ? usageError(error.message) : error
  })
}

function parseTerm(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(m|h|d)$/.exec(text.trim())
  const ms = Number(match?.[1]) * ({ m: 60_000, h: 3_600_000, d: DAY_MS }[match?.[2] ?? ''] ?? NaN)
  if (!(ms >= 60_000) || ms > 365 * DAY_MS) throw new InvalidArgumentError('Write 30m, 12h or 90d (at most 365d).')
  return Math.round(ms)
}
