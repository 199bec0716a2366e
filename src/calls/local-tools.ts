import { checkCapability, type CapabilityDeclaration } from '../../protocols/capability.ts'
import { announcedReason } from '../core/announced-reason.ts'
import { createAdmission, type Admission } from '../core/admission.ts'
import type { Invoke } from '../core/invoke.ts'
import { statusOf } from '../core/query.ts'
import { checkSchema } from '../core/schema.ts'
import { compileSubject } from '../core/triggers/event-subject.ts'
import { compileIntent } from '../core/triggers/intent-template.ts'
import { checkRouteHint } from '../core/triggers/trigger-routes.ts'
import { MeshError, toMeshError } from '../errors.ts'
import type { EventContext, EventFunction, ReceivedEvent } from '../mesh-api-events.ts'
import type { LocalTool } from './provider.ts'
import { createToolLoad, type ToolLoad } from './tool-load.ts'

/** Whatever runs tools: a backend, as far as calls are concerned. */
export interface ToolSource {
  readonly id: string
  readonly call: Invoke
  handle?(capability: string, event: ReceivedEvent, context: EventContext): Promise<void>
}

/** What this node itself offers, and what runs it. */
export interface LocalTools {
  /**
   * Takes a full snapshot of a source.
   * @returns faults of capabilities that were left out, each with its id.
   */
  apply(source: ToolSource, snapshot: CapabilityDeclaration[], reason?: string): { id: string; error: MeshError }[]
  /** @throws MeshError `unknown_capability`, `unknown_tool`, `unavailable`. */
  find(capability: string, tool: string): LocalTool
  list(): CapabilityDeclaration[]
  /** A capability, and what runs the events that it handles. */
  handler(capability: string): { declaration: CapabilityDeclaration; handle: EventFunction | undefined } | undefined
}

interface Owned {
  source: ToolSource
  declaration: CapabilityDeclaration
  /** For comparing snapshots. */
  json: string
  admissions: Map<string, Admitted>
}

interface Admitted {
  admission: Admission
  load: ToolLoad
  limits: string
}

/** @param onPut and onRemove are told of changes, one capability at a time. @param now monotonic ms. */
export function createLocalTools(
  onPut: (declaration: CapabilityDeclaration) => void,
  onRemove: (id: string, reason: string) => void,
  now: () => number
): LocalTools {
  const owned = new Map<string, Owned>()

  function put(source: ToolSource, declaration: CapabilityDeclaration): void {
    const old = owned.get(declaration.id)
    if (old !== undefined && old.source !== source) {
      throw new MeshError(
        'conflict',
        `capability id "${declaration.id}" is taken by backend "${old.source.id}"; choose another id`,
        { id: declaration.id }
      )
    }
    checkOwn(declaration)
    const json = JSON.stringify(declaration)
    if (old?.json === json) return
    onPut(declaration)
    owned.set(declaration.id, {
      source,
      declaration,
      json,
      admissions: old?.admissions ?? new Map<string, Admitted>()
    })
  }

  return {
    apply(source, snapshot, reason = 'no longer offered') {
      const faults: { id: string; error: MeshError }[] = []
      const ids = new Set<string>()
      for (const declaration of snapshot) {
        try {
          put(source, declaration)
          ids.add(declaration.id)
        } catch (error) {
          faults.push({ id: String(declaration?.id), error: toMeshError(error) })
        }
      }
      for (const [id, entry] of owned) {
        if (entry.source !== source || ids.has(id)) continue
        owned.delete(id)
        onRemove(id, reason)
      }
      return faults
    },

    find(capability, toolName) {
      const entry = owned.get(capability)
      if (entry === undefined)
        throw new MeshError('unknown_capability', `this node does not offer "${capability}"`, { capability })
      const { declaration, source, admissions } = entry
      const status = statusOf(declaration)
      if (status === 'offline' || status === 'suspended') {
        throw new MeshError(
          'unavailable',
          `"${capability}" is ${status}${declaration.statusReason === undefined ? '' : `: ${announcedReason(declaration.statusReason)}`}`,
          { capability, status, notStarted: true }
        )
      }
      const tool = declaration.tools?.find(({ name }) => name === toolName)
      if (tool === undefined)
        throw new MeshError('unknown_tool', `"${capability}" has no tool "${toolName}"`, { capability, tool: toolName })
      const limits = `${tool.concurrency}/${tool.queue}`
      let kept = admissions.get(toolName)
      if (kept?.limits !== limits) {
        const admission = createAdmission(`${capability} ${toolName}`, tool.concurrency, tool.queue)
        kept = { admission, load: createToolLoad(admission, now), limits }
        admissions.set(toolName, kept)
      }
      return { capability: declaration, tool, invoke: source.call, admission: kept.admission, load: kept.load }
    },

    list: () => [...owned.values()].map(({ declaration }) => declaration),

    handler(capability) {
      const entry = owned.get(capability)
      if (entry === undefined) return undefined
      const { declaration, source } = entry
      const isHandler = declaration.handles !== undefined && source.handle !== undefined
      return { declaration, handle: isHandler ? (event, context) => source.handle!(capability, event, context) : undefined }
    }
  }
}

/** What a peer could not know about a capability of this node: whether its schemas and the texts and hints of its triggers make sense. @throws MeshError `invalid_argument`. */
export function checkOwn(declaration: CapabilityDeclaration): void {
  checkCapability(declaration)
  declaration.tools?.forEach((tool) => {
    checkSchema(tool.input, `input of tool "${tool.name}" of "${declaration.id}"`)
    checkSchema(tool.output, `output of tool "${tool.name}" of "${declaration.id}"`)
  })
  declaration.triggers?.forEach((trigger) => {
    checkSchema(trigger.payload, `payload of trigger "${trigger.event}" of "${declaration.id}"`)
    compileIntent(declaration, trigger)
    compileSubject(declaration, trigger)
    checkRouteHint(declaration, trigger)
  })
}
