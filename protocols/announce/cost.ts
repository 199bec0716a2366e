import { MeshError } from '../errors.ts'
import { asMap, asNumber, asText } from '../shape.ts'

/** Where a node may get its power from. `low-battery`: less than a fifth of it is left. */
export const POWERS = ['mains', 'battery', 'low-battery'] as const
/** One of {@link POWERS}. */
export type Power = (typeof POWERS)[number]
/** Most that a call may cost, in cents. */
export const MAX_PRICE = 1_000_000

/** What calls on a node cost beside time, as its owner says. Mains power, a link that is not paid by volume, and no price are the default. */
export interface NodeCost {
  power?: Power | undefined
  /** Its link is paid by volume. */
  metered?: boolean | undefined
  /** Cents a call. */
  price?: number | undefined
}

/** As a part of an info; undefined if it costs nothing. */
export function encodeCost({ power, metered, price }: NodeCost = {}): unknown {
  const cost = {
    power: power === 'mains' ? undefined : power,
    metered: metered === true ? true : undefined,
    price: price === 0 ? undefined : price
  }
  return Object.values(cost).every((value) => value === undefined) ? undefined : cost
}

/** A power that this version does not know counts as none said. @throws MeshError `protocol_error` naming the field. */
export function decodeCost(value: unknown): NodeCost {
  const map = asMap(value, 'cost')
  const cost: NodeCost = {}
  if (map['power'] !== undefined) {
    const power = asText(map['power'], 'power', 32) as Power
    if (POWERS.includes(power)) cost.power = power
  }
  if (map['metered'] !== undefined) {
    if (typeof map['metered'] !== 'boolean')
      throw new MeshError('protocol_error', 'field "metered" of a peer\'s message must be a boolean')
    cost.metered = map['metered']
  }
  if (map['price'] !== undefined) {
    cost.price = asNumber(map['price'], 'price')
    if (cost.price < 0 || cost.price > MAX_PRICE)
      throw new MeshError('protocol_error', `field "price" of a peer's message must be 0 to ${MAX_PRICE}`)
  }
  return cost
}
