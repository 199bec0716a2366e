import type { JsonObject, JsonValue } from '../core/invoke.ts'
import { CHAT_TOOL, CHAT_TYPE, readChatAnswer, type ChatAnswer } from '../core/chat.ts'
import { MeshError, isMeshError, isUndone } from '../errors.ts'
import type { Call, CapabilityView } from '../mesh-api.ts'
import { MAX_INSTRUCTIONS, type DeclaredAgent } from './agent-config.ts'
import { DEFAULT_CALL_MS, type AgentWork } from './agent-context.ts'
import { completeLimits } from './budget.ts'
import { checkConcurrency, declare, type AgentDefinition } from './definition.ts'
import { modelTokens } from './mesh-call.ts'
import { createToolTable, looksAtPictures, type ModelTool } from './mesh-tools.ts'
import { findModel, lackOfModel } from './model-choice.ts'
import { meantBy } from './meant.ts'
import { pause } from './pause.ts'
import { createPictures, type Picture, type Pictures } from './pictures.ts'
import { openingMessages } from './prompt.ts'
import { runToolLoop, type ToolLoopRequest } from './tool-loop.ts'

/** Waits before a model that is busy or away is asked again, in ms; then the agent gives up. */
const MODEL_RETRY_MS = [500, 2_000, 5_000]
/** For events more of them: at a start its node, or that of a tool, may have to be found first. */
const EVENT_RETRY_MS = [...MODEL_RETRY_MS, 10_000, 10_000, 10_000]
/** Longest time that a model may ask for until it is asked again, in ms; an event is tried later then. */
const MAX_RETRY_AFTER_MS = 60_000

/** Makes an agent of its configuration. @throws MeshError `invalid_argument`. */
export function createDeclaredAgent(config: DeclaredAgent): AgentDefinition {
  const {
    id,
    type = `agent/${id}`,
    name = id,
    description,
    instructions,
    handles = {},
    triggers = [],
    examples,
    keywords
  } = config
  const { model = CHAT_TYPE, temperature, tools: rules = [] } = config
  const metadata = { model }
  if (instructions.length > MAX_INSTRUCTIONS)
    throw new MeshError('invalid_argument', `the instructions of "${id}" have more than ${MAX_INSTRUCTIONS} characters`, { id })

  async function perform(work: AgentWork): Promise<JsonValue> {
    const { task, context, budget } = work
    // What was said before a restart goes on.
    task.conversation ??= { messages: openingMessages(name, instructions, task.intent) }
    const { conversation } = task
    const known = (conversation.tools ??= {})
    const waits = [...EVENT_RETRY_MS]
    const pictures = createPictures()
    const text = await runToolLoop({
      conversation,
      budget,
      signal: context.signal,
      tools: () => createToolTable(context.capabilities(), { agent: id, rules, triggers, known }),
      model: (request) => askModel(work, model, { ...request, ...(temperature !== undefined && { temperature }) }, pictures),
      run: (tool, input, call) => runTool(work, tool, input, (picture) => pictures.keep(call, picture)),
      async wait() {
        const ms = waits.shift()
        if (ms !== undefined) await waitFor(work, ms)
        return ms !== undefined
      },
      save: work.save,
      report: work.report,
      now: work.now
    })
    const { steps, toolCalls, tokens } = budget.used
    return { text, steps, toolCalls, usage: { total_tokens: tokens } }
  }

  return {
    kind: 'declared',
    declaration: declare({ id, type, name, description, examples, keywords, metadata, triggers }, handles),
    tools: {},
    output: {
      type: 'object',
      required: ['text'],
      properties: {
        text: { type: 'string' },
        steps: { type: 'integer' },
        toolCalls: { type: 'integer' },
        usage: { type: 'object' }
      }
    },
    limits: completeLimits(config.limits),
    concurrency: checkConcurrency(config.concurrency),
    lacks: (capabilities) => lackOfModel(capabilities, model),
    perform
  }
}

/**
 * Asks again while it is busy or away. What it has answered badly it would answer so again; and what runs tools itself is not asked again if it may have begun,
 * nor is an event delivered again for that.
 */
async function askModel(work: AgentWork, model: string, body: ToolLoopRequest, pictures: Pictures): Promise<ChatAnswer> {
  const { task, context, budget } = work
  const isEvent = task.intent.kind === 'event'
  const waits = isEvent ? EVENT_RETRY_MS : MODEL_RETRY_MS
  for (let again = 0; ; again++) {
    let call: Call | undefined
    let offered: CapabilityView[] = []
    try {
      // Anew each time: what is there may have changed.
      const all = (offered = context.capabilities())
      const { target, notNode } = findModel(all, model)
      const input = looksAtPictures(all, target) ? { ...body, messages: pictures.among(body.messages) } : body
      const { result } = await work.request(target, CHAT_TOOL, input as unknown as JsonValue, {
        timeoutMs: budget.timeLeft,
        isConfigured: true,
        ...(notNode !== undefined && { notNode }),
        onCall: (made) => (call = made)
      })
      return readChatAnswer(result)
    } catch (error) {
      const isUnknown = isEvent && isMeshError(error, 'unknown_capability')
      const isAway = isMeshError(error, 'busy') || isMeshError(error, 'unavailable')
      if (context.signal.aborted || !(isAway || isUnknown)) throw error
      // Whoever has come meanwhile may be the one that was asked.
      if (mayBeDone(error, call?.provider?.node, [...offered, ...context.capabilities()], model))
        throw new MeshError(error.code, error.message, { ...error.details, retryable: false }, { cause: error })
      const asked = isMeshError(error) ? Number(error.details['retryAfterMs'] ?? 0) : 0
      const waitMs = Math.max(waits[again] ?? Infinity, asked)
      if (waitMs > MAX_RETRY_AFTER_MS) {
        // It may be there when the event is delivered again.
        throw isUnknown ? new MeshError('unavailable', error.message, error.details) : error
      }
      await waitFor(work, waitMs)
      // Each question is a step, but for one that nobody has got.
      if (!isUnknown) budget.step()
    }
  }
}

/**
 * True if a chat that has failed so may have done what must not be done twice.
 * @param node whom it was sent to; undefined: nobody.
 */
function mayBeDone(error: MeshError, node: string | undefined, capabilities: readonly CapabilityView[], model: string): boolean {
  if (error.code !== 'unavailable' || isUndone(error) || node === undefined) return false
  const asked = meantBy(capabilities, model).filter((one) => one.node === node)
  return asked.some(({ tools }) => tools.some(({ name, idempotent }) => name === CHAT_TOOL && idempotent === false))
}

async function runTool(
  work: AgentWork,
  tool: ModelTool,
  input: JsonObject,
  onPicture: (picture: Picture) => void
): Promise<JsonValue> {
  if (tool.kind === 'fire') return work.raise(tool.trigger.event, input)
  const { id, node, notNode } = tool
  const { timeoutMs = DEFAULT_CALL_MS, requiresApproval } = tool.tool
  const outcome = await work.request(id, tool.tool.name, input, {
    // A person may take longer to say yes than a tool to run.
    timeoutMs: requiresApproval === true ? work.budget.timeLeft : timeoutMs,
    ...(node !== undefined && { node }),
    ...(notNode !== undefined && { notNode }),
    onPicture
  })
  work.budget.addTokens(modelTokens(outcome, id, () => work.context.capabilities()))
  return outcome.value
}

/** It is not the agent that takes this time. */
async function waitFor({ context, budget }: AgentWork, ms: number): Promise<void> {
  const goOn = budget.pause()
  await pause(ms, context.signal).finally(goOn)
}
