import type { Command } from 'commander'
import type { MeshStatus } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { contextOf, withNodeOptions, type NodeOptions } from './command-line.ts'
import { showMesh } from './show-mesh.ts'
import { plain, showDuration, showPath, type Colors } from './output.ts'

/** `atmo status`: what the node here says of itself. */
export function addStatus(program: Command): void {
  withNodeOptions(program.command('status').description('show the node that runs here')).action(async (options: NodeOptions) => {
    const { dataDir, output } = contextOf(options)
    const client = await connectToNode(dataDir)
    const told = await client.get<MeshStatus>('/mesh/status')
    // Functions are registered by a program around a node; here there is none.
    const backends = told.backends.filter(({ kind }) => kind !== 'function')
    const status = { ...told, backends, api: client.node.api, pid: client.node.pid, dataDir }
    await output.out(output.json ? `${JSON.stringify(status)}\n` : showStatus(status, output.colors))
  })
}

function showStatus(status: MeshStatus & { api: string; pid: number; dataDir: string }, colors: Colors): string {
  const { capabilities, calls, network, backends } = status
  const networkDot = network.state === 'ok' ? colors.green('●') : colors.yellow('●')
  const row = (label: string, value: string) => `  ${colors.dim(label.padEnd(13))}${value}\n`
  let text = `${colors.green('●')} ${colors.bold(plain(status.name))} ${colors.dim(`up ${showDuration(status.uptimeMs)}, version ${plain(status.version)}, process ${status.pid}`)}\n`
  text += row('mesh', showMesh(status.mesh, colors))
  text += row('peer id', status.peerId)
  text += status.multiaddrs.map((address, index) => row(index === 0 ? 'listening' : '', address)).join('')
  text += row('local API', status.api)
  text += row('data', showPath(status.dataDir))
  text += row('network', `${networkDot} ${plain(network.message) || network.state}`)
  text += row('peers', String(status.peers))
  text += row('capabilities', `${capabilities.local} here, ${capabilities.remote} elsewhere`)
  text += row('calls', `${calls.inFlight} running, ${calls.served} served, ${calls.failed} failed`)
  const states = { online: colors.green, starting: colors.yellow, degraded: colors.yellow, offline: colors.red }
  backends.forEach(({ id, kind, state, reason, waiting }, index) => {
    text += row(
      index === 0 ? 'backends' : '',
      `${states[state](state)} ${plain(id)} ${colors.dim(kind)}${reason ? ` ${plain(reason)}` : ''}${showWaiting(waiting)}`
    )
  })
  return text
}

function showWaiting(waiting: number | undefined): string {
  return waiting === undefined ? '' : `; ${waiting} ${waiting === 1 ? 'event waits' : 'events wait'} for it`
}
