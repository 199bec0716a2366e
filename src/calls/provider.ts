import type { CapabilityDeclaration, ToolDeclaration } from '../../protocols/capability.ts'
import type { Admission } from '../core/admission.ts'
import type { Invoke, Item, JsonValue, ToolRequest } from '../core/invoke.ts'
import { validate } from '../core/schema.ts'
import { MeshError, abortError, isMeshError } from '../errors.ts'
import { DEFAULT_TIMEOUT_MS, abortable, createDeadline } from './deadline.ts'
import type { Replays } from './replay.ts'

/** A tool of this node with what runs it. */
export interface LocalTool {
  capability: CapabilityDeclaration
  tool: ToolDeclaration
  invoke: Invoke
  admission: Admission
}

/** How a call that was served here ended. */
export interface ServedCall {
  request: ToolRequest
  durationMs: number
  error: MeshError | undefined
}

/** What the provider side needs. */
export interface ProviderComponents {
  /** @throws MeshError `unknown_capability`, `unknown_tool`, `unavailable`. */
  find(capability: string, tool: string): LocalTool
  replays: Replays
  now: () => number
  onServed(call: ServedCall): void
}

/**
 * Runs calls at this node, whoever they come from: schema, slot, deadline, cancel, then the backend.
 * The same function answers remote and local callers, so both meet the same rules.
 */
export function createProvider({ find, replays, now, onServed }: ProviderComponents): Invoke {
  return async function* provide(request, { signal }) {
    const startedAt = now()
    let error: MeshError | undefined
    try {
      const local = find(request.capability, request.tool)
      const input = validate(local.tool.input, request.input, 'own')
      if (request.stream !== undefined && local.tool.acceptsStream !== true) {
        throw new MeshError('invalid_argument', `tool "${request.tool}" does not read a stream`)
      }
      const accepted: ToolRequest = { ...request, input }
      const { idempotencyKey } = request
      if (idempotencyKey === undefined) yield* run(local, accepted, signal)
      else {
        const key = JSON.stringify([request.caller, request.capability, request.tool, idempotencyKey])
        yield* replays.follow(key, (shared) => run(local, accepted, shared), signal)
      }
    } catch (thrown) {
      error = signal.aborted ? abortError(signal) : failure(thrown)
      throw error
    } finally {
      onServed({ request, durationMs: now() - startedAt, error })
    }
  }

  async function* run(local: LocalTool, request: ToolRequest, signal: AbortSignal): AsyncGenerator<Item, void, void> {
    const { tool, admission, invoke } = local
    const timeoutMs = request.remainingMs ?? tool.timeoutMs ?? DEFAULT_TIMEOUT_MS
    if (timeoutMs <= 0) throw new MeshError('deadline_exceeded', 'the time for this call was over when it arrived')
    const deadline = createDeadline(signal, timeoutMs, now)
    try {
      const turn = admission.enter(deadline.signal)
      if (turn !== undefined) await turn
      let source: AsyncIterable<Item>
      try {
        source = invoke({ ...request, remainingMs: deadline.remaining() }, { signal: deadline.signal })
      } catch (error) {
        admission.leave()
        throw error
      }
      for await (const item of abortable(source, deadline.signal, () => admission.leave())) {
        if (item.kind === 'result') checkResult(tool, item.value)
        yield item
      }
    } catch (error) {
      throw deadline.signal.aborted ? abortError(deadline.signal) : error
    } finally {
      deadline.clear()
    }
  }
}

function checkResult(tool: ToolDeclaration, value: JsonValue): void {
  if (tool.output === undefined) return
  try {
    validate(tool.output, value, 'own', 'result')
  } catch (error) {
    throw new MeshError(
      'tool_failed',
      `tool "${tool.name}" returned what its own schema forbids: ${(error as Error).message}`,
      isMeshError(error) ? error.details : {}
    )
  }
}

/** What a tool throws is its failure, told by its message; a stack never leaves the node. */
function failure(thrown: unknown): MeshError {
  if (isMeshError(thrown)) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new MeshError('tool_failed', message || 'the tool failed and gave no reason', {}, { cause: thrown })
}
