/** Calls of models, up to their first item: until then another one may take over, and an error is an answer of its own. */
import { isMeshError, isUndone, type MeshError } from '../../errors.ts'
import type { Call, CallItem, CallOptions, CapabilityView, Mesh } from '../../mesh-api.ts'
import type { JsonValue } from '../../../protocols/json.ts'
import { chooseModels, type ModelTarget } from './choose-model.ts'
import { findModel, isAuto, type ModelNeeds } from './find-model.ts'
import { byName } from './model-names.ts'
import { meantModels } from './meant-model.ts'
import { toolFor, type ModelUse } from './model-uses.ts'

/** Models that are tried for one request at most, each on up to three nodes. */
export const MAX_MODELS_TRIED = 3

/** The part of a node that the OpenAI API needs. */
export type ModelMesh = Pick<Mesh, 'capabilities' | 'call' | 'explain' | 'understand' | 'believesOthers'>

/** What a request asks of which model. */
export interface ModelRequest {
  mesh: ModelMesh
  use: ModelUse
  model: string
  needs?: ModelNeeds
  /** The input for one that was chosen. */
  input(view: CapabilityView): JsonValue
  /** What is asked, in words, of an input: where any model will do, they say which one is meant. Default: the load alone says it. */
  words?: (input: JsonValue) => string
  /** This one, whatever the name means by now. Default: by the name. */
  chosen?: ModelTarget | undefined
  options: Omit<CallOptions, 'stream'>
  /** What is sent with it, anew for each model that is tried. */
  stream?: () => NonNullable<CallOptions['stream']>
}

/** A call whose first item, its progress left out, has come. */
export interface BegunCall {
  call: Call
  target: ModelTarget
  first: CallItem
  /** Those after it. */
  rest: AsyncIterator<CallItem>
}

/** Calls a model. Another one takes over while nothing has come, if several are meant and the mesh has a retry left. @throws what the last of them fails with. */
export async function beginCall({ mesh, use, input, options, stream, ...request }: ModelRequest): Promise<BegunCall> {
  const targets = request.chosen === undefined ? await choose({ mesh, use, input, ...request }) : [request.chosen]
  let after: MeshError | undefined
  for (const [at, target] of targets.entries()) {
    const { id, node, notNode, view } = target
    const attempt = targets.length === 1 ? undefined : after === undefined ? {} : { after }
    const call = mesh.call(id, use.tool, input(view), { ...options, node, notNode, attempt, ...(stream && { stream: stream() }) })
    const rest = call[Symbol.asyncIterator]()
    try {
      return { call, target, first: await nextItem(rest), rest }
    } catch (error) {
      if (at === targets.length - 1 || !isMeshError(error) || !error.retryable) throw error
      // What runs tools itself may have run them.
      if (toolFor(view, use.tool)?.idempotent === false && !isUndone(error)) throw error
      // The mesh has refused another try.
      if (error === after) throw error
      after = error
    }
  }
  throw new TypeError('there is at least one model')
}

/** Those to try, in order. */
async function choose({ mesh, use, model, needs = {}, input, words }: Omit<ModelRequest, 'options'>): Promise<ModelTarget[]> {
  const all = mesh.capabilities()
  const fit = fitting(mesh, all, model, use, needs)
  const meant = words !== undefined && isAuto(model) ? await meantModels(mesh, fit, use.tool, words(input(fit[0]!))) : undefined
  return chooseModels(mesh, all, fit, use.tool, meant).slice(0, MAX_MODELS_TRIED)
}

/** The capabilities that are meant. @throws where there are none also what the mesh knows of it: a node that is away has not taken their names with it. */
function fitting(
  mesh: ModelMesh,
  all: readonly CapabilityView[],
  model: string,
  use: ModelUse,
  needs: ModelNeeds
): CapabilityView[] {
  try {
    return findModel(all, model, use, needs)
  } catch (error) {
    if (byName(all, model).length === 0 && !isAuto(model)) checkAway(mesh, model, use.tool)
    throw error
  }
}

/** @throws MeshError `unavailable` if a model has this id at nodes to which no way is known now. */
function checkAway(mesh: ModelMesh, model: string, tool: string): void {
  try {
    mesh.explain(model, tool)
  } catch (error) {
    if (isMeshError(error, 'unavailable') && error.details['reason'] === 'unreachable') throw error
  }
}

/** The next item that is no progress. A call ends with its result, or throws. */
export async function nextItem(items: AsyncIterator<CallItem>): Promise<CallItem> {
  for (;;) {
    const step = await items.next()
    if (step.done === true) return { kind: 'result', value: null }
    if (step.value.kind !== 'progress') return step.value
  }
}

/** Headers that say who answers. */
export function answeredBy({ call, target }: Pick<BegunCall, 'call' | 'target'>): Record<string, string> {
  const { provider } = call
  return {
    'x-atmosphere-capability': target.id,
    ...(provider !== undefined && {
      'x-atmosphere-node': provider.node,
      // Names may have any characters, headers not.
      'x-atmosphere-node-name': encodeURIComponent(provider.nodeName),
      'x-atmosphere-route': provider.path.join(',')
    })
  }
}
