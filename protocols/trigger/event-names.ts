import { MeshError } from '../errors.ts'

/** Who raised an event: a capability of a node of a mesh. */
export interface EventSource {
  /** Id of the mesh. */
  mesh: string
  /** PeerId of the node. */
  node: string
  /** Id of the capability. */
  capability: string
}

/** The place of an event among those of its source and subject, which are numbered one by one within an incarnation. */
export interface EventSequence {
  /** Counts the starts of the node. */
  incarnation: number
  number: number
}

const SOURCE = /^atm:\/\/([A-Za-z0-9._-]{1,128})\/([A-Za-z0-9]{1,128})\/([a-z0-9][a-z0-9._:-]{0,127})$/
const INCARNATION_DIGITS = 10
const NUMBER_DIGITS = 16
const SEQUENCE = /^(\d{10})(\d{16})$/
const MAX_INCARNATION = 0xffff_ffff

/** As URI: `atm://<mesh>/<node>/<capability>`. */
export function encodeSource({ mesh, node, capability }: EventSource): string {
  return `atm://${mesh}/${node}/${capability}`
}

/** @throws MeshError `protocol_error`. */
export function decodeSource(value: unknown): EventSource {
  const match = typeof value === 'string' ? SOURCE.exec(value) : null
  if (match === null)
    throw new MeshError('protocol_error', 'attribute "source" of a peer\'s event must be atm://<mesh>/<node>/<capability>')
  return { mesh: match[1]!, node: match[2]!, capability: match[3]! }
}

/** 26 digits, which are in the order of the alphabet as CloudEvents wants it. */
export function encodeSequence({ incarnation, number }: EventSequence): string {
  return String(incarnation).padStart(INCARNATION_DIGITS, '0') + String(number).padStart(NUMBER_DIGITS, '0')
}

/** @throws MeshError `protocol_error`. */
export function decodeSequence(value: unknown): EventSequence {
  const match = typeof value === 'string' ? SEQUENCE.exec(value) : null
  const [incarnation, number] = [Number(match?.[1]), Number(match?.[2])]
  if (match === null || incarnation > MAX_INCARNATION || !Number.isSafeInteger(number))
    throw new MeshError('protocol_error', 'attribute "sequence" of a peer\'s event must be 26 digits, incarnation and number')
  return { incarnation, number }
}
