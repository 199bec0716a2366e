import { createInterface } from 'node:readline/promises'
import { shortId } from '../../protocols/short-id.ts'
import { MeshError, isMeshError } from '../errors.ts'
import type { HandOver, MeshSummary } from '../node-enter.ts'
import type { NearbyMesh, NearbyOptions } from '../node-nearby.ts'
import { interruptSignal, usageError, type CommandContext } from './command-line.ts'
import { plain, table } from './output.ts'

/** Flags of `atmo join --nearby`. */
export interface NearbyFlags {
  mesh?: string
  peer?: string[]
  mdns: boolean
  yes?: boolean
}

/** `atmo join --nearby`: looks, shows the digits, asks. */
export async function joinNearbyMesh(
  { dataDir, output }: CommandContext,
  name: string,
  flags: NearbyFlags,
  handOver: HandOver | undefined
): Promise<MeshSummary> {
  const canAsk = process.stdin.isTTY === true && process.stderr.isTTY === true
  if (!canAsk && flags.yes !== true)
    throw usageError(
      '--nearby asks whether the digits on both screens are the same; without a terminal, say --yes, and compare at the other side'
    )
  const { errorColors: colors } = output
  const { signal, off } = interruptSignal()
  const { joinNearby } = await import('../node-nearby.ts')
  await output.err(colors.dim('Looking for meshes nearby…\n'))
  let saidNo = false
  try {
    const options: NearbyOptions = {
      name,
      mdns: flags.mdns,
      peers: flags.peer ?? [],
      signal,
      async choose(seen) {
        const fitting =
          flags.mesh === undefined ? seen : seen.filter(({ mesh, meshName }) => [mesh, meshName].includes(flags.mesh!))
        const [one] = fitting
        if (one === undefined) {
          const names = seen.map(({ meshName }) => `"${plain(meshName)}"`).join(', ')
          throw new MeshError('unavailable', `no mesh nearby is called "${flags.mesh}"; seen: ${names}`)
        }
        // Several nodes of one mesh: any of them lets in.
        if (fitting.every(({ mesh }) => mesh === one.mesh)) return one
        await output.err(listOf(fitting, colors))
        if (!canAsk)
          throw new MeshError('ambiguous', 'several meshes are nearby; say which one with --mesh', {
            candidates: fitting.map(({ mesh }) => mesh)
          })
        const answer = Number(await ask('Which one? Its number: ', signal))
        const chosen = fitting[answer - 1]
        if (chosen === undefined) throw new MeshError('cancelled', 'none was chosen')
        return chosen
      },
      async confirm(code, { mesh, meshName, node, nodeName }, ended) {
        if (output.json) await output.out(`${JSON.stringify({ code, mesh, meshName, node, nodeName })}\n`)
        await output.err(
          `${colors.bold(plain(meshName))} ${colors.dim(`on ${plain(nodeName)} ${shortId(node)}`)}\n\n` +
            `    ${colors.bold(spaced(code))}\n\n` +
            colors.dim(`A person at ${plain(nodeName)} sees the request with atmo approvals, and says yes with atmo approve.\n`)
        )
        if (flags.yes === true) return true
        const answer = await ask('Does that screen show the same digits? [y/N] ', ended)
        const same = /^y(es)?$/i.test(answer.trim())
        saidNo = !same
        if (same) await output.err(colors.dim('Waiting for a yes of the other side…\n'))
        return same
      }
    }
    return await joinNearby(dataDir, options, handOver)
  } catch (error) {
    if (saidNo || !isMeshError(error, 'permission_denied') || error.details['reason'] !== 'not_approved') throw error
    // Asking again would not be shown to anybody.
    const hint = 'Until its door is opened anew, nobody there is asked about this node again. There: atmo invite --nearby'
    throw new MeshError(error.code, error.message, { ...error.details, hint }, { cause: error })
  } finally {
    off()
  }
}

/** `481 273`: easier to compare. */
export const spaced = (code: string): string => code.replace(/^(\d{3})(\d+)$/, '$1 $2')

function listOf(seen: NearbyMesh[], colors: CommandContext['output']['errorColors']): string {
  const rows = seen.map(({ meshName, nodeName, mesh }, at) => [String(at + 1), meshName, nodeName, shortId(mesh)])
  return table(['', 'mesh', 'seen at', 'id'], rows, colors, process.stderr.columns)
}

async function ask(question: string, signal: AbortSignal): Promise<string> {
  const reader = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await reader.question(question, { signal })
  } finally {
    reader.close()
  }
}
