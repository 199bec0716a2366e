import type { Command } from 'commander'
import type { WaitingEventView } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { contextOf, refuseUnknownCommand, withNodeOptions, type NodeOptions } from './command-line.ts'
import { plain, showDuration, table, type Colors } from './output.ts'
import { readPeerNames, type PeerNames } from './peer-names.ts'
import { showAway } from './show-away.ts'

/** `atmo events`, `atmo events discard ID`: events of this node that are not done. */
export function addEvents(program: Command): void {
  const events = program
    .command('events')
    .description('list the events of this node that are not done, and why')
    .allowExcessArguments()
  withNodeOptions(events).action(async (options: NodeOptions, self: Command) => {
    refuseUnknownCommand(self)
    const { dataDir, output } = contextOf(options)
    const client = await connectToNode(dataDir)
    const answer = await client.get<{ events: WaitingEventView[]; total: number }>('/mesh/outbox')
    if (output.json) return output.out(`${JSON.stringify(answer)}\n`)
    if (answer.events.length === 0) return output.out('None.\n')
    await output.out(showWaiting(answer.events, await readPeerNames(client), output.colors))
    const more = answer.total - answer.events.length
    if (more > 0) await output.err(`${output.errorColors.dim(`and ${more} more`)}\n`)
  })
  withNodeOptions(
    events
      .command('discard')
      .description('forget one: it goes to nobody any more; who has it may do it still')
      .argument('<id>', 'as in atmo events')
  ).action(async (id: string, _options: NodeOptions, self: Command) => {
    // Options that stand before the name belong to `events`; the command sees both.
    const { dataDir, output } = contextOf(self.optsWithGlobals<NodeOptions>())
    const client = await connectToNode(dataDir)
    const answer = await client.delete(`/mesh/outbox/${encodeURIComponent(id)}`)
    await output.out(output.json ? `${JSON.stringify(answer)}\n` : `${plain(id)} is forgotten\n`)
  })
}

/** A table of them. @param now ms since 1970. */
export function showWaiting(
  events: readonly WaitingEventView[],
  names: Pick<PeerNames, 'nameOf' | 'handlerOf'>,
  colors: Colors,
  now: number = Date.now()
): string {
  const rows = events.map((event) => [
    { text: event.id, style: colors.bold },
    `${event.capability} ${event.event}`,
    event.priority,
    event.subject ?? '',
    showDuration(Math.max(0, now - Date.parse(event.since))),
    String(event.tries),
    event.handlers.map(names.handlerOf).join(', '),
    whyOf(event, showAway(event.away ?? [], names)),
    event.intent
  ])
  return table(['id', 'event', 'priority', 'about', 'for', 'tries', 'handler', 'why', 'intent'], rows, colors)
}

function whyOf({ reason, code, message }: WaitingEventView, away: string): string {
  const said = [code, message].filter(Boolean).join(': ')
  const texts: Record<string, string> = {
    no_handler: away === '' ? 'nobody is there who handles it' : `nobody takes it now: ${away}`,
    unanswered: 'no answer yet',
    behind: 'an older one of its subject goes first',
    full: 'handlers have as many as they may have at once',
    refused: 'not taken, is tried again',
    away: 'who has it is gone',
    accepted: 'is being handled'
  }
  return [texts[reason] ?? reason, said].filter(Boolean).join('; ')
}
