/** Which capabilities a `model` of a request means. */
import { matchGlob } from '../../../protocols/glob.ts'
import { parseTarget } from '../../../protocols/named-node.ts'
import { nearest } from '../../../protocols/nearest.ts'
import type { MeshError } from '../../errors.ts'
import type { CapabilityView } from '../../mesh-api.ts'
import { byName, calledElsewhere, isOfHome, refOf } from './model-names.ts'
import { aliasesOf, isCallable, isFor, modelOf, useOf, type ModelUse } from './model-uses.ts'
import { refused } from './openai-errors.ts'

/** Stands for any model that can; `auto:TYPE` for any of a type, which may be a glob. */
export const AUTO = 'auto'

/** What a request needs of a model beside its use. */
export interface ModelNeeds {
  tools?: boolean
  vision?: boolean
}

/** True if any model will do, or any of a type. */
export function isAuto(model: string): boolean {
  return model === AUTO || model.startsWith(`${AUTO}:`)
}

const MAX_NAMED = 10
const MAX_SHOWN = 128

/**
 * The capabilities that a model means: those of its name (see {@link byName}), or with `auto` those of a type, of other meshes only where none of the own can. All of them are
 * interchangeable. Of several, those are left out that say of themselves that they lack what is needed, if others do not.
 * @throws a refusal: 404 with the nearest name, 503 if none can be called now.
 */
export function findModel(all: readonly CapabilityView[], model: string, use: ModelUse, needs: ModelNeeds): CapabilityView[] {
  const any = isAuto(model)
  const named = any ? ofType(all, model.slice(AUTO.length + 1) || use.type) : byName(all, model)
  const fit = named.filter((one) => isFor(use, one))
  if (fit.length === 0) throw any || named.length === 0 ? notFound(all, model, use) : otherUse(named[0]!, model, use)
  const callable = fit.filter(isCallable)
  if (callable.length === 0) throw away(fit, model)
  const able = callable.filter((one) => !lacks(one, needs))
  if (!any) return able.length === 0 ? callable : able
  if (able.length === 0) throw refused(404, `no model of the mesh ${needed(needs, use)}`, 'model', 'model_not_found')
  return able.some(isOfHome) ? able.filter(isOfHome) : able
}

function ofType(all: readonly CapabilityView[], type: string): CapabilityView[] {
  return all.filter((one) => matchGlob(type, one.type))
}

function lacks({ metadata }: CapabilityView, { tools = false, vision = false }: ModelNeeds): boolean {
  return (tools && metadata?.['tools'] === false) || (vision && metadata?.['vision'] !== true)
}

function needed({ tools = false, vision = false }: ModelNeeds, { what }: ModelUse): string {
  return [what, ...(tools ? ['calls tools'] : []), ...(vision ? ['looks at images'] : [])].join(' and ')
}

/** The error for a name that no model has; names what is near. */
export function notFound(all: readonly CapabilityView[], given: string, use?: ModelUse): MeshError {
  const models = all.filter((one) => (use === undefined ? useOf(one) !== undefined : isFor(use, one)))
  // What others call by a name with @ is not asked for so.
  const isName = (one: CapabilityView, name: string): boolean => one.local || parseTarget(name).node === undefined
  const names = [
    ...new Set(models.flatMap((one) => [one.id, modelOf(one) ?? one.id, ...aliasesOf(one)].filter((name) => isName(one, name))))
  ]
  const lower = given.toLowerCase()
  const near =
    nearest(given, names) ??
    names.find((name) => name.toLowerCase().includes(lower)) ??
    names.find((name) => lower.includes(name.toLowerCase()))
  const there =
    names.length === 0
      ? `no node offers a model that ${use?.what ?? 'can be used here'}`
      : `there are: ${names.slice(0, MAX_NAMED).join(', ')}`
  const elsewhere = calledElsewhere(all, given).map((one) => refOf(one, all))
  const hint =
    elsewhere.length > 0
      ? `what other nodes call so is asked for by its id: ${elsewhere.slice(0, MAX_NAMED).join(', ')}`
      : near === undefined
        ? there
        : `did you mean "${near}"?`
  return refused(404, `The model "${given.slice(0, MAX_SHOWN)}" does not exist in this mesh; ${hint}`, 'model', 'model_not_found')
}

function otherUse(one: CapabilityView, model: string, { what }: ModelUse): MeshError {
  const its = useOf(one)?.what ?? 'does something else'
  return refused(404, `The model "${model}" ${its}; here one is needed that ${what}`, 'model', 'model_not_supported')
}

function away(all: readonly CapabilityView[], model: string): MeshError {
  const reasons = all.map(
    ({ nodeName, status, statusReason }) => `${nodeName}: ${status}${statusReason === undefined ? '' : `, ${statusReason}`}`
  )
  return refused(
    503,
    `The model "${model}" cannot be called now (${reasons.slice(0, MAX_NAMED).join('; ')})`,
    'model',
    'model_unavailable'
  )
}
