/** Whom a name means. What this node offers decides that before what others of the mesh offer, and those before other meshes: nobody takes over a name by announcing it. */
import { isShortIdOf } from '../../../protocols/short-id.ts'
import type { CapabilityView } from '../../mesh-api.ts'
import { aliasesOf, modelOf, useOf } from './model-uses.ts'

type Fits = (one: CapabilityView) => boolean

/** True unless another mesh lends it. */
export const isOfHome: Fits = ({ mesh }) => mesh === undefined

/** The nearest first. */
const SCOPES: readonly Fits[] = [({ local }) => local, isOfHome, () => true]

/**
 * Capabilities with this name, of any use: of the nearest scope that has it, and there those with this id, else those that declare this model, else those with this alias; `NAME@NODE` comes
 * before models and aliases that look like that. With them what is the same on other nodes: of the same type, by the same kind of name, and of the own mesh, unless the node matters.
 */
export function byName(all: readonly CapabilityView[], name: string): CapabilityView[] {
  const models = all.filter((one) => useOf(one) !== undefined)
  const kinds = kindsOf(models, name)
  for (const isNear of SCOPES) {
    const near = models.filter(isNear)
    for (const fits of kinds) {
      const found = near.filter(fits)
      if (isSome(found)) return [...found, ...sameElsewhere(models, found, fits)]
    }
  }
  return []
}

/** Kinds of names, the most exact first. */
function kindsOf(models: readonly CapabilityView[], name: string): Fits[] {
  const [isId, ...loose] = namesOf(name)
  const at = name.lastIndexOf('@')
  if (at <= 0) return [isId, ...loose]
  const there = new Set(onNode(models, name.slice(at + 1)))
  const exact = namesOf(name.slice(0, at)).map(
    (fits): Fits =>
      (one) =>
        there.has(one) && fits(one)
  )
  return [...exact, ...loose]
}

function namesOf(name: string): [Fits, Fits, Fits] {
  return [({ id }) => id === name, (one) => modelOf(one) === name, (one) => aliasesOf(one).includes(name)]
}

/** By PeerId, else by name, else by the end of a PeerId, and of those the nearest: who calls itself like another is not that one. */
function onNode(models: readonly CapabilityView[], node: string): CapabilityView[] {
  const ways: Fits[] = [(one) => one.node === node, (one) => one.nodeName === node, (one) => isShortIdOf(one.node, node)]
  const there = ways.map((fits) => models.filter(fits)).find(isSome) ?? []
  return SCOPES.map((isNear) => there.filter(isNear)).find(isSome) ?? []
}

const isSome = ({ length }: readonly unknown[]): boolean => length > 0

function sameElsewhere(models: readonly CapabilityView[], found: readonly CapabilityView[], fits: Fits): CapabilityView[] {
  if (!found.every((one) => isOfHome(one) && one.scope !== 'node')) return []
  const types = new Set(found.map(({ type }) => type))
  return models.filter((one) => isOfHome(one) && one.scope !== 'node' && types.has(one.type) && fits(one) && !found.includes(one))
}
