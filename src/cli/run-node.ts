/** A node as the foreground process of a terminal or a service: says that it is ready, tells its events, ends on signals. */
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Settings } from '../config-file.ts'
import { TOKEN_FILE } from '../data-dir.ts'
import { runNode, type NodeInit, type RunningNode } from '../node-run.ts'
import type { Mesh, MeshEvent } from '../mesh-api.ts'
import { EXIT, tellFailure } from './command-line.ts'
import { plain, showPath, type Output } from './output.ts'
import { createPeerNames } from './peer-names.ts'
import { showMesh } from './show-mesh.ts'
import { showEvent } from './show-event.ts'

/** Events are written so long after they came at most, in ms, many together: a write to a pipe holds up the node until it is done, twice for each of its calls. */
const GATHER_EVENTS_MS = 50
/** So long the last events of a node that has stopped may take to be read, in ms: who reads no more keeps no process. */
const LAST_EVENTS_MS = 2_000

/**
 * Runs a node until a signal, `atmo stop` or a failure ends it. SIGINT, SIGTERM and SIGHUP stop it in order; a second one
 * ends the process at once. Resolves when it has stopped; throws what {@link runNode} throws.
 */
export async function runInForeground(
  settings: Settings,
  output: Output,
  createNode: (init: NodeInit) => Promise<Mesh>
): Promise<void> {
  let stop: (() => void) | undefined
  let asked = false
  const onSignal = () => {
    if (asked) process.exit(EXIT.failure)
    asked = true
    stop?.()
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of signals) process.on(name, onSignal)
  let events = new AbortController()
  try {
    const warn = (level: string, message: string) => {
      if (level === 'warn') void output.err(`${output.errorColors.yellow('warning:')} ${plain(message)}\n`)
    }
    for (let how = 'changed'; how === 'changed';) {
      const node = await runNode(settings, createNode, warn)
      // A failure of `stop` comes out of `stopped`.
      stop = () => void node.stop().catch(() => {})
      events = new AbortController()
      const telling = tell(node, settings, output, events.signal)
      if (asked) stop()
      const ended = await node.stopped.then(
        (value) => ({ how: value }),
        (error: unknown) => ({ error })
      )
      events.abort()
      const isTold = await Promise.race([telling.then(() => true), delay(LAST_EVENTS_MS, false, { ref: false })])
      const failed = 'error' in ended
      // What is not read would keep the process.
      if (!isTold && (failed || asked || ended.how === 'stopped'))
        process.exit(failed ? await Promise.race([tellFailure(ended.error, []), delay(LAST_EVENTS_MS, EXIT.failure)]) : EXIT.ok)
      if (failed) throw ended.error
      how = ended.how
      if (asked) return
    }
  } finally {
    events.abort()
    for (const name of signals) process.off(name, onSignal)
  }
}

/** `ready` is first; then what was there before it, as events, so that a reader misses nothing; then what happens. */
async function tell(node: RunningNode, settings: Settings, output: Output, signal: AbortSignal): Promise<void> {
  const events = node.mesh.events({ signal })[Symbol.asyncIterator]()
  // No wait between the two: nothing is told twice.
  const before = eventsOf(node.mesh)
  const names = createPeerNames([node.mesh, ...node.mesh.peers()])
  const lineOf = (event: MeshEvent): string => {
    names.learn(event)
    return output.json ? `${JSON.stringify(event)}\n` : showEvent(event, output.colors, names.nameOf)
  }
  let pending = nextOf(events)
  await output.out(output.json ? `${JSON.stringify(readyLine(node))}\n` : readyText(node, settings, output))
  for (const event of before) await output.out(lineOf(event))
  while (true) {
    const next = await pending
    if (next.done === true) return
    let text = lineOf(next.value)
    pending = nextOf(events)
    const late = delay(GATHER_EVENTS_MS, undefined, { ref: false })
    for (let more = await Promise.race([pending, late]); more !== undefined && more.done !== true;) {
      text += lineOf(more.value)
      pending = nextOf(events)
      more = await Promise.race([pending, late])
    }
    await output.out(text)
  }
}

const nextOf = (events: AsyncIterator<MeshEvent>): Promise<IteratorResult<MeshEvent, unknown>> =>
  events.next().catch(() => ({ done: true, value: undefined }) as const)

/** What the node knows, as the events that would have told it. */
function eventsOf(mesh: Mesh): MeshEvent[] {
  const { uptimeMs: at, backends } = mesh.status()
  // Of nodes of other meshes no event tells.
  const own = mesh.peers().filter(({ meshId }) => meshId === undefined)
  return [
    ...backends.flatMap(({ id, kind, state, reason }): MeshEvent[] =>
      state === 'starting' || kind === 'function'
        ? []
        : [{ at, event: 'backend', id, state, ...(reason !== undefined && { reason }) }]
    ),
    ...own.map(({ peerId, name }): MeshEvent => ({ at, event: 'peer:join', peerId, name })),
    ...mesh
      .capabilities()
      .map((capability): MeshEvent => ({ at, event: 'capability:available', node: capability.node, capability }))
  ]
}

function readyLine({ mesh, api, dataDir }: RunningNode) {
  const { mesh: of } = mesh.status()
  return {
    event: 'ready',
    peerId: mesh.peerId,
    name: mesh.name,
    mesh: of,
    multiaddrs: mesh.multiaddrs(),
    api,
    dataDir,
    pid: process.pid
  }
}

function readyText({ mesh, api, dataDir }: RunningNode, { file }: Settings, { colors }: Output): string {
  const row = (label: string, value: string) => `  ${colors.dim(label.padEnd(13))}${value}\n`
  const addresses = mesh.multiaddrs()
  return [
    `${colors.green('●')} ${colors.bold(plain(mesh.name))} is up\n`,
    row('mesh', showMesh(mesh.status().mesh, colors)),
    row('peer id', mesh.peerId),
    ...(addresses.length > 0
      ? addresses.map((address, index) => row(index === 0 ? 'listening' : '', address))
      : [row('listening', 'nowhere')]),
    row('local API', `${api} ${colors.dim(`described at ${api}/docs`)}`),
    row('token', showPath(join(dataDir, TOKEN_FILE))),
    row('data', showPath(dataDir)),
    ...(file === undefined ? [] : [row('config', showPath(file))]),
    colors.dim('  Ctrl-C stops it. In another terminal: atmo peers, atmo capabilities\n')
  ].join('')
}
