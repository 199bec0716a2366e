import type { Command } from 'commander'
import { MeshError } from '../errors.ts'
import { contextOf, gather, usageError, withNodeOptions, type NodeOptions } from './command-line.ts'

interface StartFlags extends NodeOptions {
  name?: string
  config?: string
  listen?: string[]
  peer?: string[]
  api?: string
  apiKeyFile?: string
  mdns: boolean
  open?: boolean
}

/** `atmo start`: runs a node in the foreground. */
export function addStart(program: Command): void {
  withNodeOptions(program.command('start').description('run a node here, until Ctrl-C or atmo stop'))
    .option('--name <name>', 'name of the node, for people (default: what it joined as, else the host name)')
    .option('--config <file>', 'configuration (default: $ATMO_CONFIG, else atmo.yaml in the data or XDG configuration directory)')
    .option('--listen <multiaddr>', 'address to listen on; several times if need be', gather)
    .option('--peer <multiaddr>', 'peer to connect to; several times if need be', gather)
    .option('--api <host:port>', 'address of the local API (default: $ATMO_API, else 127.0.0.1 and any free port)')
    .option('--api-key-file <file>', 'key for the local API; needed if --api is not on loopback')
    .option('--no-mdns', 'do not look for peers on the local network')
    .option('--open', 'join the mesh that is open to everybody on the network: for demonstrations only')
    .action(async (flags: StartFlags) => {
      const { output } = contextOf(flags)
      const { name, config, listen, peer: peers, api, apiKeyFile, mdns, open = false, dataDir } = flags
      // Loaded when needed: no other command needs the node, libp2p takes a while, and a wrong setting is told before that.
      const [{ loadSettings, settingsProblem }, { FORMATS }, { runInForeground }] = await Promise.all([
        import('../config-file.ts'),
        import('../config-formats.ts'),
        import('./run-node.ts')
      ])
      checkFlags(flags, FORMATS)
      const settings = await loadSettings({ name, config, listen, peers, api, apiKeyFile, dataDir, ...(!mdns && { mdns }) })
      const problem = settingsProblem(settings)
      if (problem !== undefined) throw api === undefined ? new MeshError('invalid_config', problem) : usageError(problem)
      await runInForeground(settings, output, async (init) => (await import('../index.ts')).createNode({ ...init, open }))
      // It has stopped in order; nothing that a backend left behind may keep the process.
      process.exit(0)
    })
}

/** What stands on the command line is told as wrong usage, before anything starts. */
function checkFlags(flags: StartFlags, formats: Readonly<Record<string, (text: string) => string | undefined>>): void {
  const given: [flag: string, format: string, values: readonly (string | undefined)[]][] = [
    ['--name', 'node-name', [flags.name]],
    ['--listen', 'listen-multiaddr', flags.listen ?? []],
    ['--peer', 'multiaddr', flags.peer ?? []],
    ['--api', 'api-address', [flags.api]]
  ]
  for (const [flag, format, values] of given) {
    for (const value of values) {
      const problem = value === undefined ? undefined : formats[format]?.(value)
      if (problem !== undefined) throw usageError(`${flag}: ${problem}`)
    }
  }
}
