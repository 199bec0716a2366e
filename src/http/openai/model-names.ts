/** Whom a name means. What this node offers decides that before what others of the mesh offer, and those before other meshes: nobody takes over a name by announcing it. */
import { nodeCalled, nodesCalled, parseTarget } from '../../../protocols/named-node.ts'
import type { CapabilityView } from '../../mesh-api.ts'
import { aliasesOf, modelOf, useOf } from './model-uses.ts'

type Fits = (one: CapabilityView) => boolean

/** True unless another mesh lends it. */
export const isOfHome: Fits = ({ mesh }) => mesh === undefined

/** Beyond this node, the nearest first. */
const OTHERS: readonly Fits[] = [isOfHome, () => true]

/**
 * Capabilities with this name, of any use: of the nearest scope that has it, and there of each node the one with this id, else those that declare this model; else those with this alias. With
 * those of this node what is the same on other nodes: of the same type, by the same kind of name, and of the own mesh, unless the node matters. `NAME@NODE` is what this node itself calls so, else what
 * NAME means at NODE, and never what another node calls so: it could take over what is meant for one that is away.
 * @throws MeshError `ambiguous` if several nodes are NODE.
 */
export function byName(all: readonly CapabilityView[], name: string): CapabilityView[] {
  const models = all.filter((one) => useOf(one) !== undefined)
  const own = called(
    models.filter(({ local }) => local),
    name
  )
  const { name: bare, node } = parseTarget(name)
  if (node === undefined) return own.length > 0 ? [...own, ...sameElsewhere(models, own, name)] : ofOthers(models, name)
  if (own.length > 0) return own
  const there = nodeCalled(all, node, { param: 'model' })
  return called(
    models.filter((one) => one.node === there),
    bare
  )
}

/** What other nodes call by the whole of a name with `@`, which is not asked for so: see {@link byName}. */
export function calledElsewhere(all: readonly CapabilityView[], name: string): CapabilityView[] {
  if (parseTarget(name).node === undefined) return []
  return ofOthers(
    all.filter((one) => useOf(one) !== undefined),
    name
  )
}

/** `ID@NODE` that means this one alone: by the name of the node, or by its PeerId where that is not enough. */
export function refOf(one: CapabilityView, all: readonly CapabilityView[]): string {
  const there = `${one.id}@${one.nodeName}`
  if (nodesCalled(all, one.nodeName).join() !== one.node) return `${one.id}@${one.node}`
  const meant = byName(all, there)
  return meant.length === 1 && meant[0] === one ? there : `${one.id}@${one.node}`
}

function ofOthers(models: readonly CapabilityView[], name: string): CapabilityView[] {
  for (const isNear of OTHERS) {
    const found = called(models.filter(isNear), name)
    if (found.length > 0) return found
  }
  return []
}

/** Kinds of names, the most exact first. */
function kindsOf(name: string): [Fits, Fits, Fits] {
  return [({ id }) => id === name, (one) => modelOf(one) === name, (one) => aliasesOf(one).includes(name)]
}

/**
 * Of each node what it calls so, by its id, else by its model. Among nodes neither goes before the other: who announces an id gets no more by that than who declares the model. An alias only
 * stands in for something, so it is one where nobody has the name.
 */
function called(some: readonly CapabilityView[], name: string): CapabilityView[] {
  const [isId, isModel, isAlias] = kindsOf(name)
  const ids = some.filter(isId)
  const withId = new Set(ids.map(({ node }) => node))
  const named = [...ids, ...some.filter((one) => isModel(one) && !withId.has(one.node))]
  return named.length > 0 ? named : some.filter(isAlias)
}

function sameElsewhere(models: readonly CapabilityView[], own: readonly CapabilityView[], name: string): CapabilityView[] {
  if (own.some(({ scope }) => scope === 'node')) return []
  const types = new Set(own.map(({ type }) => type))
  const fits = kindsOf(name).find((kind) => own.every(kind))!
  return models.filter((one) => isOfHome(one) && one.scope !== 'node' && types.has(one.type) && fits(one) && !own.includes(one))
}
