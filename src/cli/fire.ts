import { InvalidArgumentError, type Command } from 'commander'
import type { FireView } from '../mesh-api.ts'
import { readParams } from './call-input.ts'
import { connectToNode } from './client.ts'
import { contextOf, parseWait, usageError, withNodeOptions, type NodeOptions } from './command-line.ts'
import { plain } from './output.ts'
import { readPeerNames } from './peer-names.ts'

interface FireFlags extends NodeOptions {
  wait?: number
  key?: string
}

/** `atmo fire CAPABILITY EVENT [PAYLOAD]`. Exit code 0 if a handler has it, or it waits for one; 1 if it goes nowhere. */
export function addFire(program: Command): void {
  withNodeOptions(
    program
      .command('fire')
      .description('raise an event of a capability of this node')
      .argument('<capability>', 'id of a capability that this node offers')
      .argument('<event>', 'name of one of its triggers')
      .argument('[payload]', 'JSON; @FILE reads a file, - reads stdin')
  )
    .option(
      '--wait <duration>',
      'how long to wait for a handler to say that it has it, up to 1m, 0 not at all; default 2s',
      parseWait
    )
    .option('--key <key>', 'the same key twice is the same event', parseKey)
    .action(async (capability: string, event: string, given: string | undefined, flags: FireFlags) => {
      const { dataDir, output } = contextOf(flags)
      if (capability.trim() === '' || event.trim() === '')
        throw usageError('name a capability and one of its events: atmo fire cam person')
      const payload = given === undefined ? null : await readParams(given, process.stdin, 'the payload')
      const client = await connectToNode(dataDir)
      const query = flags.wait === undefined ? '' : `?waitMs=${flags.wait}`
      const path = `/trigger/${encodeURIComponent(capability)}/${encodeURIComponent(event)}${query}`
      const headers: Record<string, string> =
        flags.key === undefined ? {} : { 'idempotency-key': `"${flags.key.replace(/["\\]/g, '\\$&')}"` }
      const view = await client.post<FireView>(path, payload, headers)
      if (output.json) return output.out(`${JSON.stringify(view)}\n`)
      const { handlerOf } = await readPeerNames(client)
      await output.out(`${plain(say({ ...view, by: view.by.map(handlerOf), tried: view.tried.map(handlerOf) }))}\n`)
    })
}

/** It goes in a header, in which nothing else is sure to arrive. */
function parseKey(text: string): string {
  if (!/^[\x20-\x7e]{1,128}$/.test(text)) throw new InvalidArgumentError('Write 1 to 128 printable ASCII characters.')
  return text
}

function say({ duplicate, ...view }: FireView): string {
  return `${outcomeOf(view)}${duplicate === true ? ' (fired before with this key)' : ''}`
}

function outcomeOf({ outcome, id, route, by, tried, kept, reason }: FireView): string {
  if (outcome === 'coalesced') return 'coalesced: it goes with others about the same, as one event'
  if (outcome === 'delivered') return `delivered ${id}: ${by.join(', ')}${route === 'sink' ? ' (default sink)' : ''}`
  const asked = tried.join(', ')
  const why =
    reason === 'refused'
      ? `refused for now by ${asked}: atmo events says why`
      : tried.length === 0
        ? 'nobody is there who handles it'
        : `not taken yet by ${asked}`
  const lost = reason === 'not_kept' ? '; it could not be written to disk' : '; this node keeps nothing on disk'
  return `queued ${id}: ${why}${kept ? '' : `${lost}: a restart loses it`}`
}
