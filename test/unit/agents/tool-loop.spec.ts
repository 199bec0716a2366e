import assert from 'node:assert/strict'
import type { AgentContext } from '../../../src/agents/agent-context.ts'
import { createAgentTools } from '../../../src/agents/agent-tools.ts'
import { DEFAULT_LIMITS, NOTHING_USED, createBudget } from '../../../src/agents/budget.ts'
import { MAX_INSTRUCTIONS } from '../../../src/agents/agent-config.ts'
import { createDeclaredAgent } from '../../../src/agents/declared-agent.ts'
import { MAX_ASKED_CHARACTERS, defineAgent } from '../../../src/agents/definition.ts'
import { MAX_DATA_CHARACTERS, openingMessages } from '../../../src/agents/prompt.ts'
import type { AgentStep } from '../../../src/agents/intent.ts'
import { createMemory } from '../../../src/agents/memory.ts'
import { createToolTable } from '../../../src/agents/mesh-tools.ts'
import {
  CUT_ANSWER,
  MAX_CALLS_AT_ONCE,
  runToolLoop,
  type Conversation,
  type ToolLoopPorts
} from '../../../src/agents/tool-loop.ts'
import {
  MAX_ANSWER_CHARACTERS,
  MAX_ARGUMENTS_AT_ONCE,
  MAX_ARGUMENT_CHARACTERS,
  MAX_TRANSCRIPT_CHARACTERS,
  lengthOf
} from '../../../src/agents/transcript.ts'
import type { ChatAnswer, ChatToolCall } from '../../../src/core/chat.ts'
import type { JsonObject } from '../../../src/core/invoke.ts'
import { MeshError, isMeshError } from '../../../src/errors.ts'
import type { CapabilityView } from '../../../src/mesh-api.ts'

/** The first half of a character of two code units. */
const HALF = /[\ud800-\udbff](?![\udc00-\udfff])/
const callOf = (id: string, name: string, input: JsonObject | string = {}): ChatToolCall => {
  return { id, type: 'function', function: { name, arguments: typeof input === 'string' ? input : JSON.stringify(input) } }
}
const said = (text: string, ...calls: ChatToolCall[]): ChatAnswer => ({ text, calls, tokens: 1, isCut: false })

function heater(idempotent: boolean): CapabilityView {
  const tools = [{ name: 'set', idempotent }]
  const where = { node: 'n1', nodeName: 'attic', ref: 'heater', local: false, status: 'online' as const }
  return { id: 'heater', type: 'home/heater', name: 'heater', tools, triggers: [], ...where }
}

/** A loop whose model says one after the other of what it is given, and a mesh that has one tool after so many waits. */
function world(conversation: Conversation, answers: ChatAnswer[], { idempotent = false, thereAfter = 0, waits = 3 } = {}) {
  const made: JsonObject[] = []
  const steps: AgentStep[] = []
  const state = { waited: 0, isFull: false, made, steps, kept: '' }
  const ports: ToolLoopPorts = {
    conversation,
    budget: createBudget({ ...DEFAULT_LIMITS, tokens: 10_000_000 }, NOTHING_USED, () => 0),
    signal: new AbortController().signal,
    tools: () => {
      const known = (conversation.tools ??= {})
      const there = state.waited >= thereAfter ? [heater(idempotent)] : []
      return createToolTable(there, { agent: 'me', rules: [{}], triggers: [], known })
    },
    model: async () => answers.shift() ?? said('done'),
    run: async (_, input) => made.push(input),
    wait: async () => state.waited < waits && ++state.waited > 0,
    async save() {
      if (state.isFull) throw new MeshError('unavailable', 'the disk is full')
      state.kept = JSON.stringify(conversation)
    },
    report: (step) => steps.push(step),
    now: () => 0
  }
  return { ports, state }
}

/** What was on disk when the node died in the middle of a call. */
function interrupted(idempotent: boolean): Conversation {
  return {
    messages: [
      { role: 'system', content: 'x' },
      { role: 'user', content: 'heat' },
      { role: 'assistant', content: null, tool_calls: [callOf('c1', 'heater__set', { on: true })] }
    ],
    calling: 'c1',
    tools: { heater__set: { id: 'heater', type: 'home/heater', tool: 'set', ...(idempotent && { idempotent }) } }
  }
}

describe('the loop of a declared agent, after a restart', () => {
  it('says that nobody knows what became of a call, also where its tool is not found yet, and keeps what it was', async () => {
    for (const thereAfter of [0, 9]) {
      const conversation = interrupted(false)
      const { ports, state } = world(conversation, [], { thereAfter, idempotent: true })
      assert.equal(await runToolLoop(ports), 'done')
      assert.match(conversation.messages[3]?.content ?? '', /not known whether it was done/)
      const [, , answer] = conversation.messages
      assert.ok(answer?.role === 'assistant' && answer.tool_calls?.[0]?.function.arguments === '{"on":true}')
      assert.deepEqual([state.made, state.waited, conversation.calling], [[], 0, undefined])
    }
  })

  it('makes a call again that may be repeated, as soon as its tool is found', async () => {
    const conversation = interrupted(true)
    const { ports, state } = world(conversation, [], { thereAfter: 2, idempotent: true })
    await runToolLoop(ports)
    assert.deepEqual([state.made, state.waited], [[{ on: true }], 2])
    assert.equal(ports.budget.used.toolCalls, 0, 'it was counted before')
    const changed = world(interrupted(true), [], { idempotent: false })
    await runToolLoop(changed.ports)
    assert.deepEqual(changed.state.made, [], 'not where it says by now that it may not be')
  })

  it('waits a bounded time for the tool of a call that was not begun, and says then that it is away', async () => {
    const conversation = { ...interrupted(false), calling: undefined }
    const { ports, state } = world(conversation, [said('', callOf('c2', 'heater__set'))], { thereAfter: 9 })
    assert.equal(await runToolLoop(ports), 'done')
    assert.equal(state.waited, 3)
    assert.match(conversation.messages[3]?.content ?? '', /unavailable.*not there now/)
    assert.match(conversation.messages[5]?.content ?? '', /unavailable/)
  })
})

describe('the loop of a declared agent', () => {
  const opening = (): Conversation => ({ messages: interrupted(false).messages.slice(0, 2) })

  it('makes no call that is not on disk before', async () => {
    const conversation = opening()
    const { ports, state } = world(conversation, [said('', callOf('c1', 'heater__set'), callOf('c2', 'heater__set'))])
    const { run } = ports
    ports.run = async (tool, input, id) => {
      assert.match(state.kept, /"calling":"c1"/)
      state.isFull = true
      return run(tool, input, id)
    }
    await assert.rejects(runToolLoop(ports), (error) => isMeshError(error, 'unavailable'))
    assert.deepEqual([state.made.length, conversation.calling], [1, undefined])
    state.isFull = false
    ports.run = run
    await runToolLoop(ports)
    assert.equal(state.made.length, 2, 'it goes on with the second')
  })

  it('keeps no more of an answer than it may, and calls nothing with what was left out', async () => {
    const conversation: Conversation = {
      messages: openingMessages('me', 'i'.repeat(MAX_INSTRUCTIONS), { kind: 'ask', text: 'q'.repeat(MAX_ASKED_CHARACTERS) })
    }
    const long = (n: number): JsonObject => ({ text: 'x'.repeat(n) })
    const calls = Array.from({ length: MAX_CALLS_AT_ONCE }, (_, n) =>
      callOf(`c${n}`, 'heater__set', long(MAX_ARGUMENT_CHARACTERS - 50))
    )
    calls[0] = callOf('c0', 'heater__set', long(MAX_ARGUMENT_CHARACTERS))
    assert.throws(
      () => createDeclaredAgent({ id: 'a', instructions: 'i'.repeat(MAX_INSTRUCTIONS + 1) }),
      (error) => isMeshError(error, 'invalid_argument')
    )
    const { ports, state } = world(conversation, [
      said('y'.repeat(3 * MAX_ANSWER_CHARACTERS), ...calls),
      said('🔥'.repeat(MAX_ANSWER_CHARACTERS))
    ])
    const { save } = ports
    ports.run = async (_, input) => {
      state.made.push(input)
      return 'z'.repeat(2 * MAX_DATA_CHARACTERS)
    }
    ports.save = async () => {
      assert.ok(lengthOf(conversation.messages) < MAX_TRANSCRIPT_CHARACTERS)
      await save()
    }
    const result = await runToolLoop(ports)
    assert.ok(result.length <= MAX_ANSWER_CHARACTERS + CUT_ANSWER.length + 1 && result.endsWith(CUT_ANSWER) && !HALF.test(result))
    assert.ok(lengthOf(conversation.messages) < MAX_TRANSCRIPT_CHARACTERS)
    const most = Math.floor(MAX_ARGUMENTS_AT_ONCE / MAX_ARGUMENT_CHARACTERS)
    assert.ok(state.made.length > 0 && state.made.length <= most, `${state.made.length}`)
    assert.ok(state.made.every((input) => JSON.stringify(input).length > 1_000))
    assert.ok(conversation.messages.some(({ role, content }) => role === 'tool' && /are longer than/.test(content ?? '')))
  })
})

describe('a tool of an agent', () => {
  it('has a context that ends with its call', async () => {
    let kept: AgentContext | undefined
    const agent = defineAgent({ id: 'a', run: () => null, tools: { look: { run: (_, context) => void (kept = context) } } })
    const never = new AbortController().signal
    const calls: string[] = []
    const mesh = { call: (target: string) => calls.push(target), capabilities: () => [] } as never
    const { handlers } = createAgentTools(agent, {
      ...{ mesh, events: { fire: async () => null }, now: () => 0, signal: () => never },
      memory: () => createMemory(undefined, async () => undefined),
      async *ask() {
        yield null
        return null
      }
    })
    await handlers['look']!({}, { signal: never, caller: 'n1', causes: ['n1'], progress: () => undefined } as never)
    assert.ok(kept?.signal.aborted)
    await assert.rejects(kept.call('door', 'open'), (error) => isMeshError(error, 'cancelled'))
    await assert.rejects(kept.fire('alarm', null), (error) => isMeshError(error, 'cancelled'))
    assert.deepEqual(calls, [])
  })
})
