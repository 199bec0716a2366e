/** Backend `function`: functions of this process as tools. Runs in Node and in the browser. */
import type { CapabilityDeclaration, ToolDeclaration } from '../../protocols/capability.ts'
import { MeshError } from '../errors.ts'
import type { EventFunction } from '../mesh-api-events.ts'
import type { Registration, ToolHandler } from '../mesh-api.ts'
import type { Backend, TriggerEvent } from './backend.ts'
import { createDropOldestQueue } from './drop-oldest-queue.ts'
import { createHandlerCalls, unknownCapability, unknownTool } from './handler-calls.ts'

/** Events that wait for the node to read them; beyond it the oldest are lost. */
export const TRIGGER_QUEUE_LIMIT = 1_000

/** A backend whose capabilities come and go by {@link FunctionBackend.register}. */
export interface FunctionBackend extends Backend {
  watch: NonNullable<Backend['watch']>
  /**
   * Offers a capability. Tools that have a handler but no declaration are declared by their name alone.
   * Throws `invalid_argument` if a declared tool has no handler, `conflict` if the id is taken, and what `onChange` has against it.
   */
  register(declaration: CapabilityDeclaration, handlers?: Record<string, ToolHandler>, onEvent?: EventFunction): Registration
}

interface Entry {
  declaration: CapabilityDeclaration
  /** What `resume` goes back to. */
  active: Pick<CapabilityDeclaration, 'status' | 'statusReason'>
  handlers: ReadonlyMap<string, ToolHandler>
  onEvent: EventFunction | undefined
}

/**
 * Makes an empty function backend. `onChange` is told at once of every change, before `discover` yields it; it returns what
 * cannot be offered: that change is taken back, and thrown to who made it.
 */
export function createFunctionBackend(
  init: { id?: string; onChange?: (declarations: CapabilityDeclaration[]) => { id: string; error: MeshError }[] } = {}
): FunctionBackend {
  const entries = new Map<string, Entry>()
  const changes = createDropOldestQueue<true>({ limit: 1 })
  const events = createDropOldestQueue<TriggerEvent>({ limit: TRIGGER_QUEUE_LIMIT })
  const calls = createHandlerCalls((request) => {
    const entry = entries.get(request.capability)
    if (entry === undefined) throw unknownCapability(request.capability)
    const { status, statusReason } = entry.declaration
    if (status === 'suspended' || status === 'offline') {
      throw new MeshError('unavailable', `capability "${request.capability}" is ${status}: ${statusReason ?? 'no reason given'}`)
    }
    const handler = entry.handlers.get(request.tool)
    if (handler === undefined) throw unknownTool(request, entry.handlers.keys())
    return handler
  })

  /** What is offered now. Snapshots are this very list: one that is read late must not take back what was told to `onChange` meanwhile. */
  const declarations: CapabilityDeclaration[] = []
  const changed = (): { id: string; error: MeshError }[] => {
    declarations.splice(0, Infinity, ...[...entries.values()].map((entry) => entry.declaration))
    changes.push(true)
    return init.onChange?.([...declarations]) ?? []
  }
  /** Tells of a change of one capability; takes it back if it cannot be offered. */
  const changedOrUndone = (id: string, undo: () => void): void => {
    const fault = changed().find((one) => one.id === id)
    if (fault === undefined) return
    undo()
    changed()
    throw fault.error
  }

  return {
    id: init.id ?? 'function',
    kind: 'function',
    call: calls.call,
    watch: (signal) => events.values(signal),
    async handle(capability, event, context) {
      const onEvent = entries.get(capability)?.onEvent
      if (onEvent === undefined) throw new MeshError('unavailable', `"${capability}" was removed`)
      await onEvent(event, context)
    },

    async *discover(signal) {
      try {
        changes.push(true)
        for await (const _ of changes.values(signal)) yield declarations
      } finally {
        await calls.stop(new MeshError('unavailable', 'the provider is stopping'))
      }
    },

    register(given, handlers = {}, onEvent) {
      const { id } = given
      if (entries.has(id))
        throw new MeshError('conflict', `capability "${id}" is registered already; remove it first, or use another id`, { id })
      if ((given.handles !== undefined) !== (onEvent !== undefined))
        throw new MeshError(
          'invalid_argument',
          given.handles === undefined
            ? `"${id}" does not say that it handles events; add handles: {}`
            : `"${id}" says that it handles events, and no function was given that does`,
          { id }
        )
      const table = new Map(Object.entries(handlers))
      const declaration = withTools(given, table)
      const entry: Entry = {
        declaration,
        active: { status: given.status, statusReason: given.statusReason },
        handlers: table,
        onEvent
      }
      entries.set(id, entry)
      changedOrUndone(id, () => entries.delete(id))

      const change = (next: CapabilityDeclaration, active = entry.active): void => {
        if (entries.get(id) !== entry)
          throw new MeshError('unknown_capability', `capability "${id}" was removed; register it again`, { id })
        const before = { ...entry }
        Object.assign(entry, { declaration: next, active })
        changedOrUndone(id, () => Object.assign(entry, before))
      }
      return {
        id,
        update(partial) {
          if (partial.id !== undefined && partial.id !== id) {
            throw new MeshError('invalid_argument', `the id of "${id}" cannot change; remove it and register "${partial.id}"`, {
              id
            })
          }
          const next = withTools({ ...entry.declaration, ...partial }, table)
          change(next, 'status' in partial ? { status: partial.status, statusReason: partial.statusReason } : undefined)
        },
        suspend: (reason) => change({ ...entry.declaration, status: 'suspended', statusReason: reason }),
        resume: () => change(withoutUndefined({ ...entry.declaration, ...entry.active })),
        emit(event, payload) {
          if (entries.get(id) !== entry)
            throw new MeshError('unknown_capability', `capability "${id}" was removed; register it again`, { id })
          if (entry.declaration.triggers?.some((trigger) => trigger.event === event) !== true) {
            throw new MeshError('invalid_argument', `capability "${id}" declares no trigger "${event}"; add it to its triggers`, {
              id,
              event
            })
          }
          events.push({ capability: id, event, payload })
        },
        remove() {
          if (entries.get(id) !== entry) return
          entries.delete(id)
          changed()
        }
      }
    }
  }
}

/** Fits the declared tools and the handlers together. */
function withTools(declaration: CapabilityDeclaration, handlers: ReadonlyMap<string, ToolHandler>): CapabilityDeclaration {
  const tools = declaration.tools ?? []
  const lacking = tools.find((tool) => !handlers.has(tool.name))
  if (lacking !== undefined) {
    throw new MeshError(
      'invalid_argument',
      `tool "${lacking.name}" of "${declaration.id}" has no handler; pass one under this name`,
      { tool: lacking.name }
    )
  }
  const declared = new Set(tools.map((tool) => tool.name))
  if (declared.size < tools.length)
    throw new MeshError('invalid_argument', `two tools of "${declaration.id}" have the same name; rename one`)
  const all = [...tools, ...[...handlers.keys()].filter((name) => !declared.has(name)).map((name): ToolDeclaration => ({ name }))]
  const withStreams = (tool: ToolDeclaration): ToolDeclaration =>
    tool.streams === undefined && yieldsItems(handlers.get(tool.name)) ? { ...tool, streams: true } : tool
  return withoutUndefined({ ...declaration, tools: all.map(withStreams) })
}

/** A declaration is JSON: what is set to undefined is taken away. */
function withoutUndefined(declaration: CapabilityDeclaration): CapabilityDeclaration {
  for (const key of Object.keys(declaration)) if (declaration[key] === undefined) delete declaration[key]
  return declaration
}

function yieldsItems(handler: ToolHandler | undefined): boolean {
  return Object.prototype.toString.call(handler) === '[object AsyncGeneratorFunction]'
}
