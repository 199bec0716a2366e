import type { JsonObject, JsonValue } from '../core/invoke.ts'
import { CHAT_TOOL, CHAT_TYPE, readChatAnswer, type ChatAnswer, type ChatRequest } from '../core/chat.ts'
import { MeshError, isMeshError } from '../errors.ts'
import type { DeclaredAgent } from './agent-config.ts'
import { DEFAULT_CALL_MS, type AgentWork } from './agent-context.ts'
import { completeLimits } from './budget.ts'
import { checkConcurrency, declare, type AgentDefinition } from './definition.ts'
import { tokensOf } from './mesh-call.ts'
import { createToolTable, findModel, type ModelTool } from './mesh-tools.ts'
import { pause } from './pause.ts'
import { openingMessages } from './prompt.ts'
import { runToolLoop } from './tool-loop.ts'

/** Waits before a model that is busy or away is asked again, in ms; then the agent gives up. */
const MODEL_RETRY_MS = [500, 2_000, 5_000]
/** For events more of them: at a start the node of the model may have to be found first. */
const EVENT_RETRY_MS = [...MODEL_RETRY_MS, 10_000, 10_000, 10_000]

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

  async function perform(work: AgentWork): Promise<JsonValue> {
    const { task, context, budget } = work
    // What was said before a restart goes on.
    task.conversation ??= { messages: openingMessages(name, instructions, task.intent) }
    const text = await runToolLoop({
      conversation: task.conversation,
      budget,
      signal: context.signal,
      tools: () => createToolTable(context.capabilities(), { agent: id, rules, triggers }),
      model: (request) => askModel(work, model, { ...request, ...(temperature !== undefined && { temperature }) }),
      run: (tool, input) => runTool(work, tool, input),
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
    perform
  }
}

async function askModel({ task, context, request, budget }: AgentWork, model: string, body: ChatRequest): Promise<ChatAnswer> {
  const isEvent = task.intent.kind === 'event'
  const waits = isEvent ? EVENT_RETRY_MS : MODEL_RETRY_MS
  for (let again = 0; ; again++) {
    try {
      // Anew each time: what is there may have changed.
      const target = findModel(context.capabilities(), model)
      return readChatAnswer(
        await request(target, CHAT_TOOL, body as unknown as JsonValue, { timeoutMs: budget.timeLeft, isConfigured: true })
      )
    } catch (error) {
      const isUnknown = isEvent && isMeshError(error, 'unknown_capability')
      if (context.signal.aborted || !isMeshError(error) || !(error.retryable || isUnknown)) throw error
      const waitMs = waits[again]
      // It may be there when the event is delivered again.
      if (waitMs === undefined) throw isUnknown ? new MeshError('unavailable', error.message, error.details) : error
      // It is not the agent that takes long.
      const goOn = budget.pause()
      await pause(waitMs, context.signal).finally(goOn)
    }
  }
}

async function runTool(work: AgentWork, tool: ModelTool, input: JsonObject): Promise<JsonValue> {
  if (tool.kind === 'fire') return work.raise(tool.trigger.event, input)
  const { timeoutMs = DEFAULT_CALL_MS, requiresApproval } = tool.tool
  // A person may take longer to say yes than a tool to run.
  const time = requiresApproval === true ? work.budget.timeLeft : timeoutMs
  const value = await work.request(tool.target, tool.tool.name, input, { timeoutMs: time })
  work.budget.addTokens(tokensOf(value))
  return value
}
