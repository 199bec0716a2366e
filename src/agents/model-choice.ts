import { CHAT_TYPE } from '../core/chat.ts'
import { MeshError } from '../errors.ts'
import type { CallOptions, CapabilityView } from '../mesh-api.ts'
import { cutText } from '../core/cut-text.ts'
import { meantBy } from './meant.ts'
import { isAway } from '../model-tools/callable-tool.ts'

/** Which capability an agent talks to, for a call. */
export interface ModelChoice extends Pick<CallOptions, 'notNode'> {
  target: string
}

/**
 * The model that is named by id or type, perhaps `@node`; where some of those do not call tools, the others. Of as many as possible the mesh may choose, so that
 * another one answers where one fails. @throws MeshError `unknown_capability` if none calls tools.
 */
export function findModel(capabilities: readonly CapabilityView[], model: string): ModelChoice {
  const named = capabilities.filter(({ id, type, ref }) => id === model || type === model || ref === model)
  const able = named.filter(({ metadata }) => metadata?.['tools'] !== false)
  // `id@node`, or something that the mesh itself knows better: it says what is wrong.
  if (able.length === named.length) return { target: model }
  if (able.length === 0) throw new MeshError('unknown_capability', noneCallsTools(model), { model })
  const ableNodes = new Set(able.map(({ node }) => node))
  const notNode = [...new Set(named.filter((one) => !able.includes(one)).map(({ node }) => node))]
  if (notNode.every((node) => !ableNodes.has(node))) return { target: model, notNode }
  // One node has models of both kinds: it is named by what they differ in.
  const order = (one: CapabilityView): number =>
    4 * Number(isAway(one)) + 2 * Number(one.changed !== undefined) - Number(one.local)
  const [best] = able.sort((a, b) => order(a) - order(b) || (a.ref < b.ref ? -1 : 1))
  const { id, ref } = best!
  const isShared = capabilities.every((other) => other.id !== id || able.includes(other))
  return { target: isShared ? id : ref }
}

const MAX_SHOWN_MODEL = 100

/** Why an agent cannot work with its model now, in words that other nodes may see; undefined if it can. */
export function lackOfModel(capabilities: readonly CapabilityView[], model: string): string | undefined {
  const named = meantBy(capabilities, model)
  const shown = cutText(model, MAX_SHOWN_MODEL)
  if (named.length === 0) return `its model "${shown}" is not there: no node of the mesh offers it, by id or type`
  const able = named.filter(({ metadata }) => metadata?.['tools'] !== false)
  if (able.length === 0) return noneCallsTools(shown)
  return able.every(isAway) ? `its model "${shown}" is ${able[0]!.status}` : undefined
}

function noneCallsTools(model: string): string {
  return `no model of "${model}" calls tools; name another as the model of the agent, such as one of type ${CHAT_TYPE}`
}
