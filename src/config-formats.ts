/** The formats of the configuration: what JSON Schema has no word for. */
import { listenProblem, multiaddrProblem } from './config-addresses.ts'
import { apiAddressProblem } from './http/api-address.ts'
import { TAG_PATTERN } from '../protocols/member/messages.ts'
import { MAX_ROUTE_HINT } from '../protocols/trigger/event.ts'

/** Longest name of a node, in characters. */
export const MAX_NODE_NAME = 64

/** Of the name of a node. */
export function nodeNameProblem(name: string): string | undefined {
  return !/^[^\s@/\p{Cc}][^@/\p{Cc}]*$/u.test(name) || name.length > MAX_NODE_NAME
    ? `"${name.slice(0, 2 * MAX_NODE_NAME)}" is no name for a node: 1 to ${MAX_NODE_NAME} characters, without @, / and line breaks`
    : undefined
}

const TAG = new RegExp(TAG_PATTERN)

/** Of a tag of a node. */
export function tagProblem(tag: string): string | undefined {
  return TAG.test(tag) ? undefined : `"${tag.slice(0, 80)}" is no tag: small letters, digits, . _ and -, up to 32`
}

const SINK = /^(capability:[a-z0-9][a-z0-9._:-]{0,127}(@[1-9A-HJ-NP-Za-km-z]+)?|[a-z0-9._*?/-]+)$/

/** Of the default sink of events: a hint as those of triggers. */
export function eventSinkProblem(text: string): string | undefined {
  return SINK.test(text) && text.length <= MAX_ROUTE_HINT
    ? undefined
    : `"${text.slice(0, 80)}" is no place for events: capability:ID, capability:ID@PEERID, a glob over types such as agent/*, or a domain`
}

const PEER_ID = /^(12D3Koo|Qm|16Uiu2HA)[1-9A-HJ-NP-Za-km-z]+$/

/** What is wrong with a text, by the `format` that it should have; undefined if nothing is. */
export const FORMATS: Readonly<Record<string, (text: string) => string | undefined>> = {
  multiaddr: multiaddrProblem,
  'listen-multiaddr': listenProblem,
  'api-address': apiAddressProblem,
  'node-name': nodeNameProblem,
  tag: tagProblem,
  'event-sink': eventSinkProblem,
  'mesh-id': (text) =>
    PEER_ID.test(text)
      ? undefined
      : `"${text.slice(0, 80)}" is no id of a mesh; atmo treaty list --json shows that of this one and those of others. A name is not enough: a mesh can call itself anything`,
  'peer-id': (text) =>
    PEER_ID.test(text)
      ? undefined
      : `"${text.slice(0, 80)}" is no PeerId; atmo members --json shows them. A name is not enough: anybody can call itself anything`
}
