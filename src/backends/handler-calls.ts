/**
 * Runs a {@link ToolHandler} as a call. Every backend whose tools are functions of this process uses it, so the rules of
 * cancelling, progress and errors are the same everywhere. Runs in Node and in the browser.
 */
import { Cancellation } from '../core/cancellation.ts'
import { IdTable } from '../core/id-table.ts'
import { MeshError, toMeshError } from '../errors.ts'
import type { Invoke, Item, ToolRequest } from '../core/invoke.ts'
import type { ToolHandler } from '../mesh-api.ts'
import { HandlerRun } from './handler-run.ts'

/** Time that handlers get to end after {@link HandlerCalls.stop}, in ms. One that ignores its signal is left behind then. */
export const STOP_WAIT_MS = 5_000

/** The calls of one backend. */
export interface HandlerCalls {
  /** Runs the handler that `lookup` names for the request. */
  call: Invoke
  /** Ends all running calls with `error`; resolves when their handlers ended, at the latest after {@link STOP_WAIT_MS}. */
  stop(error: MeshError): Promise<void>
}

/**
 * Makes an {@link Invoke} of handlers.
 * @param lookup - finds the handler of a request; throws `unknown_capability`, `unknown_tool` or `unavailable`.
 */
export function createHandlerCalls(lookup: (request: ToolRequest) => ToolHandler): HandlerCalls {
  // Runs whose handler is still at work, those included that were cancelled and are cleaning up.
  const working = new IdTable<HandlerRun>()
  let runs = 0
  let stopped: MeshError | undefined
  let onIdle: (() => void) | undefined
  const ended = (run: HandlerRun): void => {
    if (working.delete(run.id) && working.size === 0) onIdle?.()
  }

  return {
    call(request, options) {
      try {
        if (stopped !== undefined) throw stopped
        return new HandlerRun(runs++, lookup(request), request, Cancellation.of(options), working, ended)
      } catch (error) {
        return failedCall(toMeshError(error))
      }
    },
    async stop(error) {
      stopped ??= error
      if (working.size === 0) return
      const idle = new Promise<void>((resolve) => (onIdle = resolve))
      for (const id of working.ids()) working.get(id)?.fail(error)
      let timer: ReturnType<typeof setTimeout> | undefined
      const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, STOP_WAIT_MS)))
      if (working.size > 0) await Promise.race([idle, late])
      clearTimeout(timer)
    }
  }
}

/** A lookup in a fixed table of one capability. */
export function lookupIn(capability: string, handlers: ReadonlyMap<string, ToolHandler>): (request: ToolRequest) => ToolHandler {
  return (request) => {
    if (request.capability !== capability) throw unknownCapability(request.capability)
    const handler = handlers.get(request.tool)
    if (handler === undefined) throw unknownTool(request, handlers.keys())
    return handler
  }
}

/** The error for a capability that this backend does not have. */
export function unknownCapability(id: string): MeshError {
  return new MeshError('unknown_capability', `this node has no capability "${id}"`, { capability: id })
}

/** The error for a tool that the capability does not have; names those that it has. */
export function unknownTool(request: ToolRequest, tools: Iterable<string>): MeshError {
  const has = [...tools]
  const hint = has.length === 0 ? 'it has no tools' : `it has: ${has.slice(0, 20).join(', ')}`
  return new MeshError('unknown_tool', `capability "${request.capability}" has no tool "${request.tool}"; ${hint}`, {
    capability: request.capability,
    tool: request.tool
  })
}

function failedCall(error: MeshError): AsyncIterable<Item> {
  return {
    [Symbol.asyncIterator]: () => {
      let thrown = false
      return {
        next: () => {
          if (thrown) return Promise.resolve({ done: true, value: undefined })
          thrown = true
          return Promise.reject(error)
        }
      }
    }
  }
}
