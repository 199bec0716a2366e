/** Who is meant by an event that goes to nobody now, what each of them is, and what helps. */
import type { AwayHandlerView } from '../mesh-api.ts'
import type { PeerNames } from './peer-names.ts'

/** Of several, the first so many are named. */
const MAX_NAMED = 3

/** `guard@hall is suspended (on holiday); on hall: atmo agents guard --resume`. */
export function showAway(away: readonly AwayHandlerView[], names: Pick<PeerNames, 'nameOf' | 'handlerOf'>): string {
  const named = away.slice(0, MAX_NAMED).map((one) => {
    const why = one.reason === undefined || one.reason === one.state ? '' : ` (${one.reason})`
    return `${names.handlerOf(one.handler)} is ${one.state}${why}; ${helpOf(one, names)}`
  })
  const more = away.length - named.length
  return [...named, ...(more > 0 ? [`and ${more} more`] : [])].join(' | ')
}

function helpOf({ handler, state, isAgent, local }: AwayHandlerView, { nameOf }: Pick<PeerNames, 'nameOf'>): string {
  const at = handler.lastIndexOf('@')
  const [id, node] = [handler.slice(0, at), handler.slice(at + 1)]
  if (state === 'blocked') return `what it says of itself has changed: atmo accept ${nameOf(node)} ${id}`
  if (state === 'offline') return 'it gets the event when it is there again'
  const where = local ? '' : `on ${nameOf(node)}: `
  return isAgent ? `${where}atmo agents ${id} --resume` : 'it gets the event when its program resumes it'
}
