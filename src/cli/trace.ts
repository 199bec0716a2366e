import type { Command } from 'commander'
import { shortId } from '../../protocols/short-id.ts'
import type { TraceLine } from '../http/route-routes.ts'
import { MeshError, isErrorCode } from '../errors.ts'
import type { TraceHop } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { EXIT, contextOf, interruptSignal, usageError, withNodeOptions, type NodeOptions } from './command-line.ts'
import { plain, showDuration, type Colors } from './output.ts'
import { withNames } from './peer-names.ts'

/** `atmo trace NODE|CAPABILITY`: the nodes on the way to another, as they answer. Exit code 1 if the way ends before it; Ctrl-C ends the questions. */
export function addTrace(program: Command): void {
  withNodeOptions(
    program
      .command('trace')
      .description('ask each node on the way to another one, like traceroute')
      .argument('<target>', 'name or peer id of a node, or a capability: then the nearest node that offers it')
  ).action(async (target: string, options: NodeOptions) => {
    const { dataDir, output } = contextOf(options)
    if (target.trim() === '') throw usageError('name a node, or a capability: atmo trace pi-kitchen')
    const client = await connectToNode(dataDir)
    const path = `/mesh/trace?${new URLSearchParams({ target }).toString()}`
    const { signal, off } = interruptSignal()
    try {
      // Not before: of a target that nobody is, or that several are, there is no way to tell of.
      const onOpen = (): void => {
        if (!output.json) void output.err(`${output.errorColors.dim(`the way to ${plain(target)} (Ctrl-C ends)`)}\n`)
      }
      let hops = 0
      for await (const text of client.lines({ method: 'GET', path, signal, onOpen })) {
        const line = JSON.parse(text) as TraceLine
        if (output.json) await output.out(`${text}\n`)
        if (!('error' in line)) {
          hops++
          if (!output.json) await output.out(showHop(line, output.colors))
        } else if (output.json) process.exitCode = EXIT.failure
        else {
          const { code, message, details } = line.error
          throw await withNames(client, new MeshError(isErrorCode(code) ? code : 'internal', message, details))
        }
      }
      if (hops === 0 && !output.json) await output.out('This node itself: there is no way to go.\n')
    } finally {
      off()
    }
  })
}

/** A hop as a line. */
export function showHop({ hop, node, nodeName, rttMs }: TraceHop, { bold, dim, green }: Colors): string {
  // One that this node never heard of by name.
  const name = nodeName === node ? '?' : plain(nodeName)
  const room = ' '.repeat(Math.max(0, 20 - [...name].length))
  return `${String(hop).padStart(2)}  ${bold(name)}${room}  ${dim(plain(shortId(node)))}  ${green(showDuration(rttMs))}\n`
}
