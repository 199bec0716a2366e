import type { CapabilityDeclaration, ToolDeclaration } from '../../protocols/capability.ts'
import type { Admission } from '../core/admission.ts'
import { Cancellation } from '../core/cancellation.ts'
import type { Meter } from '../core/limits.ts'
import type { Invoke, InvokeOptions, Item, JsonValue, ToolRequest } from '../core/invoke.ts'
import { validate } from '../core/schema.ts'
import { createTokenBuckets } from '../core/token-buckets.ts'
import { MeshError, isMeshError } from '../errors.ts'
import { DEFAULT_TIMEOUT_MS, abortableSteps, createDeadline, type AbortableSteps, type Deadline } from './deadline.ts'
import type { Replays } from './replay.ts'
import type { ToolLoad } from './tool-load.ts'

/** How often a node may ask how busy this one is, without a call, for all tools together. */
export const PROBE_RATE = { perSecond: 50, burst: 100 } as const

/** A tool of this node with what runs it. */
export interface LocalTool {
  capability: CapabilityDeclaration
  tool: ToolDeclaration
  invoke: Invoke
  admission: Admission
  load: ToolLoad
}

/** How a call that was served here ended. */
export interface ServedCall {
  request: ToolRequest
  durationMs: number
  error: MeshError | undefined
}

/** What the provider side needs. */
export interface ProviderComponents {
  /** PeerId of this node. */
  self: string
  /** @throws MeshError `unknown_capability`, `unknown_tool`, `unavailable`. */
  find(capability: string, tool: string): LocalTool
  replays: Replays
  /**
   * Asked for each call of another node, or on behalf of one, or that an agent chose, with its deadline running. Returns nothing, or a promise of nothing, if it may run.
   * The signal is made when it is read: only who waits should.
   * @throws MeshError `permission_denied`, `busy`.
   */
  authorize(local: LocalTool, request: ToolRequest, options: InvokeOptions): Promise<void> | undefined
  /** Counts a call of another node against its limits; undefined if none fits. @throws MeshError `busy`. */
  meter(local: LocalTool, request: ToolRequest): Meter | undefined
  now: () => number
  /** A call begins to run here; `onServed` follows, with the same request. */
  onBegin(request: ToolRequest): void
  onServed(call: ServedCall): void
}

/**
 * Runs calls at this node, whoever they come from: schema, slot, deadline, cancel, then the backend.
 * The same function answers remote and local callers, so both meet the same rules.
 */
export function createProvider({ self, find, replays, authorize, meter, now, onBegin, onServed }: ProviderComponents): Invoke {
  const probes = createTokenBuckets(PROBE_RATE, now)

  return (request, options) => {
    const { idempotencyKey, question } = request
    if (question?.only === true) return probe(request)
    if (request.ahead === true) return checkAhead(request)
    if (idempotencyKey === undefined) return run(request, options)
    const key = keyOf(request)
    const call = { key, caller: request.caller, causes: request.causes, input: request.input }
    return replays.follow(call, (signal, onRun) => run(request, { signal }, onRun), options.signal)
  }

  /** How busy a tool is, is told to those who may call it. They are not asked about, and nothing counts as a call. */
  async function* probe(request: ToolRequest): AsyncGenerator<Item, void, void> {
    if (!probes.take(request.caller))
      throw new MeshError('busy', 'this node was asked too often how busy it is', { reason: 'limit' })
    const local = find(request.capability, request.tool)
    if (request.caller !== self || request.causes !== undefined) await authorize(local, request, NOBODY_IS_ASKED)
    request.question!.answer(local.load.now())
  }

  /** What would be asked about, may come. What is refused counts as a call: none follows. */
  async function* checkAhead(request: ToolRequest): AsyncGenerator<Item, void, void> {
    // Its outcome is told again, whatever has become of the tool.
    if (request.idempotencyKey !== undefined && replays.has(keyOf(request))) return
    try {
      const local = find(request.capability, request.tool)
      if (request.caller === self && request.causes === undefined) return
      authorize(local, request, NOBODY_IS_ASKED)?.catch(() => undefined)
    } catch (thrown) {
      onBegin(request)
      onServed({ request, durationMs: 0, error: failure(thrown) })
      throw thrown
    }
  }

  /** @param onRun is told right before the backend begins. */
  async function* run(request: ToolRequest, options: InvokeOptions, onRun?: () => void): AsyncGenerator<Item, void, void> {
    const startedAt = now()
    const cancellation = Cancellation.of(options)
    let error: MeshError | undefined
    let deadline: Deadline | undefined
    let steps: AbortableSteps<Item> | undefined
    let asked: Promise<void> | undefined
    let used: Meter | undefined
    let begun = false
    let ended = false
    // With a key the call may go on when its caller has left, and a tool may take its time to end.
    const letGo = request.keepInput?.()
    onBegin(request)
    try {
      const local = find(request.capability, request.tool)
      const { tool, admission, invoke, load } = local
      const input = validate(tool.input, request.input, 'own')
      if (request.stream !== undefined && tool.acceptsStream !== true) {
        throw new MeshError('invalid_argument', `tool "${request.tool}" does not read a stream`)
      }
      const timeoutMs = request.remainingMs ?? tool.timeoutMs ?? DEFAULT_TIMEOUT_MS
      if (timeoutMs <= 0) throw new MeshError('deadline_exceeded', 'the time for this call was over when it arrived')
      deadline = createDeadline(cancellation, timeoutMs, now)
      // What this node does for another one, it does with the rights of both; what an agent of it chose, nobody here has chosen.
      if (request.caller !== self || request.causes !== undefined || request.agent !== undefined) {
        asked = authorize(local, request, cancellation)
        if (asked !== undefined) {
          // Nobody may be left who hears that it was refused.
          asked.catch(() => undefined)
          yield { kind: 'progress', progress: { done: 0, message: 'waits for a yes of the owner' } }
          await asked.finally(() => (asked = undefined))
        }
      }
      if (request.caller !== self) used = meter(local, request)
      if (!admission.tryEnter()) await enter(local, request, cancellation)
      begun = true
      onRun?.()
      const counted =
        used === undefined || request.stream === undefined ? request.stream : metered(request.stream, used, cancellation)
      steps = begin(invoke, withInput(request, input, counted, deadline.remaining()), cancellation, () => {
        admission.leave()
        letGo?.()
      })
      let tookMs = 0
      for (;;) {
        const askedAt = now()
        const step = await steps.next()
        // While the caller holds an item, no time of the tool passes.
        tookMs += now() - askedAt
        if (step.done === true) break
        const waitMs = used?.yielded(step.value) ?? 0
        if (step.value.kind === 'result') {
          checkResult(tool, step.value.value)
          finished(load, request, tookMs)
        }
        ended = step.value.kind === 'result'
        if (waitMs > 0 && step.value.kind !== 'result') await pause(waitMs, cancellation)
        yield step.value
      }
      if (!ended) finished(load, request, tookMs)
      ended = true
    } catch (thrown) {
      error = cancellation.reason ?? (begun ? ofBackend(failure(thrown)) : failure(thrown))
      throw error
    } finally {
      deadline?.clear()
      if (steps === undefined) letGo?.()
      else steps.close()
      if (!ended) error ??= cancellation.reason ?? new MeshError('cancelled', LEFT)
      used?.leave(begun && !ended)
      // Left while it waited: nobody is to be asked any more.
      if (asked !== undefined) cancellation.abort(new MeshError('cancelled', LEFT))
      cancellation.release()
      onServed({ request, durationMs: now() - startedAt, error })
    }
  }
}

const LEFT = 'the caller left'

const NOBODY_IS_ASKED: InvokeOptions = {
  signal: AbortSignal.abort(new MeshError('permission_denied', 'the owner is not asked who may know how busy a tool is'))
}

const keyOf = ({ caller, capability, tool, idempotencyKey, causes, agent }: ToolRequest): string =>
  JSON.stringify([caller, capability, tool, idempotencyKey, causes, agent])

/** @throws MeshError `busy` with the load, as far as it is known. */
async function enter({ admission, load }: LocalTool, request: ToolRequest, cancellation: Cancellation): Promise<void> {
  try {
    await admission.enter(request.caller, cancellation.signal, request.elsewhere)
  } catch (error) {
    const { serviceMs } = load.now()
    if (!isMeshError(error, 'busy') || serviceMs === undefined) throw error
    throw new MeshError('busy', error.message, { ...error.details, serviceMs }, { cause: error })
  }
}

/** A call has come to a good end. What it waited for its caller, is no time of the tool. */
function finished(load: ToolLoad, { stream, question, caller }: ToolRequest, tookMs: number): void {
  if (stream === undefined) load.took(tookMs)
  const told = question === undefined ? undefined : load.tell(caller)
  if (told !== undefined) question!.answer(told)
}

/** Written out: the copy of a spread lives on to the next major collection. */
function withInput(request: ToolRequest, input: JsonValue, stream: ToolRequest['stream'], remainingMs: number): ToolRequest {
  const { capability, tool, caller, causes, idempotencyKey, traceparent } = request
  return { capability, tool, input, caller, causes, remainingMs, stream, idempotencyKey, traceparent }
}

/** What the caller streams in, counted: past a limit it is read later. */
async function* metered(stream: AsyncIterable<Item>, meter: Meter, cancellation: Cancellation): AsyncGenerator<Item, void, void> {
  for await (const item of stream) {
    const waitMs = meter.taken(item)
    yield item
    if (waitMs > 0) await pause(waitMs, cancellation)
  }
}

/** @throws the reason of the cancellation, at once. */
function pause(ms: number, cancellation: Cancellation): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      cancellation.offAbort(onAbort)
      resolve()
    }, ms)
    const onAbort = (reason: MeshError): void => {
      clearTimeout(timer)
      reject(reason)
    }
    cancellation.onAbort(onAbort)
    if (cancellation.reason !== undefined) onAbort(cancellation.reason)
  })
}

/** @param onSettled runs once, when the tool has ended, or has not begun. */
function begin(invoke: Invoke, request: ToolRequest, cancellation: Cancellation, onSettled: () => void): AbortableSteps<Item> {
  try {
    return abortableSteps(invoke(request, cancellation), cancellation, onSettled)
  } catch (error) {
    onSettled()
    throw error
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

/** Only what refuses a call before it runs may say that it did not, or sends it elsewhere; only the caller's own node knows that a way is lost. */
function ofBackend(error: MeshError): MeshError {
  if (!('notStarted' in error.details || 'lost' in error.details || 'elsewhere' in error.details)) return error
  const { notStarted: _claimed, lost: _way, elsewhere: _sent, ...details } = error.details
  return new MeshError(error.code, error.message, details, { cause: error })
}

/** What a tool throws is its failure, told by its message; a stack never leaves the node. */
function failure(thrown: unknown): MeshError {
  if (isMeshError(thrown)) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new MeshError('tool_failed', message || 'the tool failed and gave no reason', {}, { cause: thrown })
}
