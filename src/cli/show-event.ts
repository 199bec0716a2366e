import { shortId } from '../../protocols/short-id.ts'
import type { LiveEvent } from '../http/event-log.ts'
import type { LiveCall } from '../mesh-api.ts'
import { spaced } from './join-nearby.ts'
import { showWhat } from './show-change.ts'
import { plain, showDuration, type Colors } from './output.ts'
import { showMs, showWay } from './show-way.ts'

/** One event as one line for people. @param nameOf what to call nodes of which the event has the PeerId alone. */
export function showEvent(event: LiveEvent, colors: Colors, nameOf: (node: string) => string = shortId): string {
  return `${colors.dim(new Date().toTimeString().slice(0, 8))} ${eventText(event, colors, nameOf)}\n`
}

function eventText(event: LiveEvent, colors: Colors, nameOf: (node: string) => string): string {
  const { bold, green, red, yellow, magenta, dim } = colors
  switch (event.event) {
    case 'peer:join':
      return `${green('+')} node ${bold(plain(event.name))} ${dim(shortId(event.peerId))}`
    case 'peer:updated':
      return `${yellow('~')} node ${bold(plain(event.name))} ${dim(plain(`${shortId(event.peerId)} ${event.version}`))}`
    case 'peer:leave':
      return `${red('-')} node ${bold(plain(event.name))} ${dim(plain(event.reason))}`
    case 'capability:available':
    case 'capability:updated':
    case 'capability:suspended': {
      const { id, type, nodeName, tools, status, changed } = event.capability
      const mark = changed === undefined ? '' : ` ${yellow('changed!')}`
      const sign = { 'capability:available': green('+'), 'capability:updated': yellow('~'), 'capability:suspended': yellow('!') }[
        event.event
      ]
      return `${sign} ${bold(plain(id))} ${plain(type)} on ${plain(nodeName)} ${dim(`${status}, ${tools.length} tools`)}${mark}`
    }
    case 'capability:removed':
      return `${red('-')} ${bold(plain(event.id))} ${plain(event.type)} ${dim(plain(event.reason))}`
    case 'descriptor-changed':
      return `${yellow('!')} ${bold(plain(event.capability))} on ${plain(event.nodeName)} says something else of itself: ${showWhat(event.changed)} ${dim(`atmo accept ${plain(event.node)} ${plain(event.capability)}`)}`
    case 'trigger':
      return `${magenta('!')} ${bold(plain(`${event.capability} ${event.trigger}`))} ${dim(plain(JSON.stringify(event.payload)))}`
    case 'call:begin':
      return `${callSign(event)} ${dim(plain(`begins${event.peerId === '' ? '' : ` ${nameOf(event.peerId)}`}`))}`
    case 'call:end': {
      const ok = event.status === 'success'
      return `${callSign(event)} ${ok ? green('ok') : red(plain(event.code ?? event.status))} ${dim(plain(`${nameOf(event.peerId)} ${showDuration(event.durationMs)}`))}`
    }
    case 'approval': {
      const what =
        event.kind === 'join' ? `"${event.name}" asks to join, shows ${spaced(event.code)},` : `${event.capability} ${event.tool}`
      const of = event.kind === 'call' && event.mesh !== undefined ? ` (of ${event.mesh})` : ''
      const called = event.kind === 'call' ? `${event.callerName} ${shortId(event.caller)}${of}` : shortId(event.caller)
      const who = event.kind === 'call' && event.agent !== undefined ? `agent ${event.agent} of this node` : called
      return `${yellow('?')} ${bold(plain(what))} waits for your yes: atmo approve ${plain(event.id)} ${dim(plain(who))}`
    }
    case 'network':
      return `${event.state === 'ok' ? green('●') : yellow('●')} network ${plain(event.message)}`
    case 'route': {
      const { via, before, metricMs } = event
      const sign = via === null ? red('-') : before === null ? green('+') : yellow('~')
      const cost = metricMs === null ? '' : `, ${showMs(metricMs)}`
      const way = via === null ? 'gone' : `${showWay({ ...event, direct: false }, nameOf)}${cost}`
      const was = before === null || before === via ? '' : `, was via ${nameOf(before)}`
      return `${sign} way to ${bold(plain(event.nodeName))} ${dim(plain(`${way}${was}`))}`
    }
    case 'backend':
      return `${event.state === 'online' ? green('●') : red('●')} backend ${bold(plain(event.id))} ${event.state}${event.reason ? ` ${dim(plain(event.reason))}` : ''}`
    case 'lagged':
      return yellow(`! ${event.dropped ?? 'some'} events are left out: this reader was too slow for them`)
    default:
      // A newer node may tell more.
      return plain((event as { event: string }).event)
  }
}

function callSign({ direction, capability, tool }: LiveCall): string {
  return `${direction === 'in' ? '←' : '→'} ${plain(`${capability} ${tool}`)}`
}
