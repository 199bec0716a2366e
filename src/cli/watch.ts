import type { Command } from 'commander'
import { matchName } from '../../protocols/glob.ts'
import { shortId } from '../../protocols/short-id.ts'
import { parseEventPattern } from '../../protocols/trigger/event-pattern.ts'
import { isMeshError } from '../errors.ts'
import type { LiveEvent } from '../http/event-log.ts'
import { EVENT_NAMES } from '../mesh-api-live.ts'
import type { CapabilityView, ObservedNodeView } from '../mesh-api.ts'
import { connectToNode, type NodeClient } from './client.ts'
import { contextOf, interruptSignal, isCancelled, usageError, withNodeOptions, type NodeOptions } from './command-line.ts'
import type { Output } from './output.ts'
import { readPeerNames } from './peer-names.ts'
import { showCloudEvent, sourceOf, type CloudEvent } from './show-cloud-event.ts'
import { showEvent } from './show-event.ts'
import { createSourceNotes } from './show-sources.ts'
import { showUnmatched, unmatchedBy } from './show-unmatched.ts'

/** `atmo watch [PATTERN]`: events as they happen, until Ctrl-C or until the node stops; both are exit code 0. */
export function addWatch(program: Command): void {
  withNodeOptions(
    program
      .command('watch')
      .description('show what happens in the mesh, as it happens')
      .argument(
        '[pattern]',
        'TYPE or TYPE:EVENT, such as "sensor/*": what capabilities of the mesh raise; or a glob over what nodes do, such as "peer:*"'
      )
  ).action(async (pattern: string | undefined, options: NodeOptions) => {
    const ofCapabilities = pattern !== undefined && isOfCapabilities(pattern) ? eventPattern(pattern) : undefined
    const { dataDir, output } = contextOf(options)
    const client = await connectToNode(dataDir)
    const { signal, off } = interruptSignal()
    try {
      if (ofCapabilities !== undefined) await watchEvents(client, ofCapabilities, output, signal)
      else await watchNode(client, pattern, output, signal)
    } catch (error) {
      if (!isCancelled(error)) throw error
    } finally {
      off()
    }
  })
}

/** A pattern of events: over types of several segments, or all, or one that fits nothing that nodes do. */
function isOfCapabilities(pattern: string): boolean {
  const isOfNodes = pattern.split(',').some((glob) => EVENT_NAMES.some((name) => matchName(glob.trim(), name)))
  return pattern.includes('/') || pattern.includes('**') || !isOfNodes
}

/** The same pattern. @throws wrong usage for what is none. */
function eventPattern(pattern: string): string {
  try {
    parseEventPattern(pattern)
  } catch (error) {
    throw isMeshError(error) ? usageError(error.message) : error
  }
  return pattern
}

async function watchNode(client: NodeClient, pattern: string | undefined, output: Output, signal: AbortSignal): Promise<void> {
  const query = new URLSearchParams(pattern === undefined ? {} : { type: pattern })
  await say(output, 'watching what happens in the mesh')
  const names = output.json ? undefined : await readPeerNames(client)
  for await (const line of client.lines({ method: 'GET', path: `/mesh/events?${query.toString()}`, signal })) {
    if (names === undefined) {
      await output.out(`${line}\n`)
      continue
    }
    const event = JSON.parse(line) as LiveEvent
    names.learn(event)
    await output.out(showEvent(event, output.colors, names.nameOf))
  }
}

async function watchEvents(client: NodeClient, pattern: string, output: Output, signal: AbortSignal): Promise<void> {
  const path = `/mesh/events?${new URLSearchParams({ events: pattern, sources: 'true' }).toString()}`
  /** Asked anew for each node that is seen for the first time: it may have come since. */
  const seen = new Set<string>([client.node.peerId])
  let nameOf: ((node: string) => string) | undefined
  const notes = createSourceNotes()
  const { capabilities } = await client.get<{ capabilities: CapabilityView[] }>('/mesh/capabilities')
  const unmatched = unmatchedBy(pattern, capabilities)
  const opened = async (): Promise<void> => {
    await say(output, `watching events ${pattern} of the mesh`)
    if (unmatched !== undefined)
      await (output.json ? output.err(`${JSON.stringify({ unmatched })}\n`) : note(output, showUnmatched(unmatched)))
  }
  const learn = async (nodes: string[]): Promise<void> => {
    if (nodes.some((node) => !seen.has(node))) nameOf = (await readPeerNames(client)).nameOf
    for (const node of nodes) seen.add(node)
  }
  const lines = client.lines({
    method: 'GET',
    path,
    signal,
    onOpen: () => void opened()
  })
  for await (const line of lines) {
    const told = JSON.parse(line) as CloudEvent | { sources: ObservedNodeView[] }
    if (output.json) {
      await ('sources' in told ? output.err(`${line}\n`) : output.out(`${line}\n`))
      continue
    }
    if ('sources' in told) {
      await learn(told.sources.map(({ node }) => node))
      for (const one of notes.next(told.sources, nameOf ?? shortId)) await note(output, one)
      continue
    }
    const event = told
    const { node } = sourceOf(event)
    await learn([node])
    const where = node === client.node.peerId ? 'this node' : nameOf?.(node)
    await output.out(showCloudEvent(event, output.colors, where))
  }
}

async function note(output: Output, what: string): Promise<void> {
  await output.err(`${output.errorColors.yellow('note:')} ${what}\n`)
}

async function say(output: Output, what: string): Promise<void> {
  if (!output.json) await output.err(`${output.errorColors.dim(`${what} (Ctrl-C ends)`)}\n`)
}
