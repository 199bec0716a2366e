import { InvalidArgumentError, type Command } from 'commander'
import { createInterface } from 'node:readline/promises'
import { resolveDataDir } from '../data-dir.ts'
import type { Scan } from '../node-scan.ts'
import {
  contextOf,
  gather,
  interruptSignal,
  usageError,
  withNodeOptions,
  type CommandContext,
  type NodeOptions
} from './command-line.ts'
import { plain, showPath } from './output.ts'
import { runningNode } from './running-node.ts'
import { namesToShare, shareable, showScan } from './show-scan.ts'

interface ScanFlags extends NodeOptions {
  config?: string
  port?: number[]
  share?: string[]
  tool?: string[]
  yes?: boolean
}

/** `atmo scan`: what runs on this machine that others could use, and sharing it. */
export function addScan(program: Command): void {
  withNodeOptions(
    program.command('scan').description('find AI servers, MCP servers and devices of this machine, and choose what to share')
  )
    .option(
      '--port <number>',
      'look at this port of 127.0.0.1 instead of the usual ones, and share from there; several times if need be',
      gatherPort
    )
    .option(
      '--share <name>',
      'share this without a question: a name of the list, or a glob such as ollama/*; several times if need be',
      gather
    )
    .option(
      '--tool <name>',
      'offer this tool of the MCP servers of --share, also of those that are shared already: a name, or a glob such as read_*; several times if need be. Without it none is',
      gather
    )
    .option('--yes', 'write the configuration even where lines of it change their form')
    .option('--config <file>', 'configuration (default: as atmo start finds it)')
    .addHelpText(
      'after',
      `
Nothing is shared that you do not name: here, or in the backend local-ai of the configuration.

Examples:
  $ atmo scan
  $ atmo scan --share 'ollama/*' --share llamafarm/discoverable/assistant
  $ atmo scan --share mcp/files --tool 'read_*' --tool list_directory
  $ atmo scan --json --port 8080`
    )
    .action((flags: ScanFlags) => runScan(flags))
}

async function runScan(flags: ScanFlags): Promise<void> {
  const context = contextOf(flags)
  const { output } = context
  const asks = !output.json && flags.share === undefined && process.stdin.isTTY === true && process.stderr.isTTY === true
  if (flags.tool !== undefined && flags.share === undefined && !asks) throw usageError(NO_SERVER)
  const { scanMachine } = await import('../node-scan.ts')
  const { signal, off } = interruptSignal()
  try {
    const scan = await scanMachine({ dataDir: flags.dataDir, config: flags.config, ports: flags.port, signal })
    if (!output.json) await output.out(showScan(scan, output.colors))
    const names = flags.share ?? (asks ? await choose(scan, signal) : [])
    const written = names.length > 0 && (await share(context, scan, names, { ...flags, asks }, signal))
    if (output.json) await output.out(`${JSON.stringify({ ...scan, ...(names.length > 0 && { written }) })}\n`)
  } finally {
    off()
  }
}

const NO_SERVER = '--tool is for MCP servers that are shared: name one with --share, such as mcp/files'

async function choose(scan: Scan, signal: AbortSignal): Promise<string[]> {
  const offered = shareable(scan).filter(({ shared }) => !shared)
  if (offered.length === 0) return []
  const answer = (await ask('Share which? Their numbers, "all", or nothing: ', signal)).trim()
  if (/^all$/i.test(answer)) return offered.map(({ name }) => name)
  const numbers = answer.split(/[\s,]+/).filter((one) => one !== '')
  return numbers.map((text) => {
    const found = /^\d+$/.test(text) ? offered.find(({ number }) => number === Number(text)) : undefined
    if (found === undefined) throw usageError(`"${text.slice(0, 40)}" is no number of the list that is not shared yet`)
    return found.name
  })
}

/** What a server does with its tools it does for all members, so none is offered that is not named. */
async function chooseTools(signal: AbortSignal): Promise<string[]> {
  const answer = await ask('Which of their tools? Names, globs such as read_*, "all", or nothing: ', signal)
  return /^\s*all\s*$/i.test(answer) ? ['*'] : answer.split(/[\s,]+/).filter((one) => one !== '')
}

/** Writes what is to be shared into the configuration. @returns whether it did. */
async function share(
  { dataDir, output }: CommandContext,
  scan: Scan,
  names: string[],
  { port, tool, yes = false, asks }: ScanFlags & { asks: boolean },
  signal: AbortSignal
): Promise<boolean> {
  const { mcpBackend, planShares, writeConfig } = await import('../node-scan.ts')
  const { globs, mcp } = namesToShare(scan, names)
  if (tool !== undefined && mcp.length === 0) throw usageError(NO_SERVER)
  const fresh = mcp.filter(({ shared }) => !shared)
  const allow = tool ?? (asks && fresh.length > 0 ? await chooseTools(signal) : [])
  const backends = fresh.map((one) => mcpBackend(one, allow))
  const tools = mcp.flatMap(({ shared, id }) => (shared ? [{ backend: id, allow }] : []))
  const edited = await planShares(scan, { share: globs, ports: port, backends, tools })
  const file = showPath(scan.configFile)
  const { green, dim } = output.colors
  if (!edited.changed) {
    if (!output.json) await output.out(`${green('●')} ${plain(file)} shares ${names.map(plain).join(', ')} already\n`)
    return false
  }
  if (!edited.keepsLines && !yes) {
    const canAsk = !output.json && process.stdin.isTTY === true && process.stderr.isTTY === true
    const question = `${file} can only be written with lines of yours in another form. Write it? [y/N] `
    if (!canAsk) throw usageError(`lines of ${file} would change their form; say --yes, or add to it by hand`)
    if (!/^y(es)?$/i.test((await ask(question, signal)).trim())) return false
  }
  await writeConfig(scan.configFile, edited.text)
  if (output.json) return true
  await output.out(`${green('●')} shares ${names.map(plain).join(', ')} by ${plain(file)}\n`)
  if (fresh.length > 0 && allow.length === 0)
    await output.out(
      `  none of the tools of ${fresh.map(({ shareName }) => shareName).join(', ')} yet: name them in tools.allow there\n`
    )
  const running = await runningNode(dataDir)
  const where = dataDir === resolveDataDir(undefined) ? '' : ` --data-dir ${showPath(dataDir)}`
  const next =
    running === undefined
      ? `Start the node with: atmo start${where}`
      : `The node reads it at its next start: atmo stop${where}, then atmo start${where}`
  await output.out(dim(`  ${next}\n`))
  return true
}

function gatherPort(text: string, before: number[] | undefined): number[] {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) throw new InvalidArgumentError('A port is a number from 1 to 65535.')
  return [...(before ?? []), port]
}

async function ask(question: string, signal: AbortSignal): Promise<string> {
  const reader = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await reader.question(question, { signal })
  } finally {
    reader.close()
  }
}
