import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readArguments } from '../../../scripts/demo/arguments.ts'
import { grammarOf, type ChatBody } from '../../../scripts/demo/security/chat-grammar.ts'
import { writeModel } from '../../../scripts/demo/security/gguf.ts'
import { SENTENCES } from '../../../scripts/demo/security/language-model.ts'
import { installedLlama } from '../../../scripts/demo/security/llama-install.ts'
import { startChild, type Child } from '../../fixtures/child.ts'

const TOOLS: ChatBody['tools'] = [
  {
    function: {
      name: 'cam__get_history',
      parameters: { properties: { moving: { type: 'boolean' }, limit: { type: 'integer' } } }
    }
  },
  { function: { name: 'cam__get_frame', parameters: { properties: { frame: { type: 'string' } } } } },
  { function: { name: 'speaker__speak', parameters: { required: ['text'], properties: { text: { type: 'string' } } } } }
]
const asked = (...called: string[]): ChatBody => ({
  tools: TOOLS,
  messages: [
    { role: 'user', content: '<data>{"payload":{"frame":"mx-33"}}</data>' },
    ...called.map((name) => ({ role: 'assistant', content: null, tool_calls: [{ function: { name } }] }))
  ]
})

describe('the demo on its command line', () => {
  const plain = {
    scenario: 'tour',
    json: false,
    help: false,
    lateSeconds: undefined,
    llm: undefined,
    model: undefined,
    vision: false,
    out: undefined
  }
  it('is the tour, unless it is told otherwise', () => {
    assert.deepEqual(readArguments([]), plain)
    const args = [
      '--scenario',
      'security',
      '--late',
      '20',
      '--llm',
      'http://127.0.0.1:1/v1',
      '--model',
      'm',
      '--out',
      'x',
      '--vision',
      '--json'
    ]
    assert.deepEqual(readArguments(args), {
      ...{ scenario: 'security', json: true, help: false },
      ...{ lateSeconds: 20, llm: 'http://127.0.0.1:1/v1', model: 'm', vision: true, out: 'x' }
    })
  })

  const WRONG: [string[], RegExp][] = [
    [['--late', '1'], /--late goes with --scenario security/],
    [['--scenario', 'party'], /no scenario "party"/],
    [['--scenario', 'security', '--late', 'soon'], /number of seconds from 0 to 600/],
    [['--scenario', 'security', '--late', '601'], /number of seconds/],
    [['--scenario', 'security', '--model', 'm'], /--model goes with --llm/],
    [['--scenario', 'security', '--llm', 'localhost:80'], /--llm must be an address/],
    [['--vision'], /--vision goes with --scenario security/],
    [['--scenario', 'security', '--vision'], /--vision goes with --llm/],
    [['--what'], /--what/],
    [['more'], /more/]
  ]
  for (const [args, reason] of WRONG) it(`refuses ${args.join(' ')}`, () => assert.throws(() => readArguments(args), reason))
})

describe('what the tiny model may answer', () => {
  it('is each tool once, those that come last at the end, then a sentence', () => {
    const names = (...called: string[]): string[] => grammarOf(asked(...called), ['__speak']).names
    assert.deepEqual(names(), ['cam__get_history', 'cam__get_frame'])
    assert.deepEqual(names('cam__get_frame'), ['cam__get_history'])
    assert.deepEqual(names('cam__get_frame', 'cam__get_history'), ['speaker__speak'])
    assert.match(grammarOf(asked('cam__get_frame', 'cam__get_history', 'speaker__speak')).gbnf, /^root ::= sentence\n/)
    assert.deepEqual(grammarOf({ ...asked(), tool_choice: 'none' }).names, [])
  })

  it('has values that the conversation has, and leaves out what it cannot know', () => {
    const { gbnf } = grammarOf(asked(), ['__speak'])
    assert.match(gbnf, /\("\\"mx-33\\""\)/)
    assert.match(gbnf, /\("true" \| "false"\)/)
    assert.doesNotMatch(gbnf, /limit/)
    const wants = { name: 'x', parameters: { required: ['n'], properties: { n: { type: 'array' } } } }
    assert.throws(() => grammarOf({ messages: [], tools: [{ function: wants }] }), /cannot write "n"/)
  })
})

describe('the tiny model', () => {
  it('is a GGUF file, the same each time', () => {
    const file = writeModel(SENTENCES)
    assert.deepEqual([file.toString('latin1', 0, 4), file.readUInt32LE(4), file.readBigUInt64LE(8)], ['GGUF', 3, 12n])
    assert.ok(file.equals(writeModel(SENTENCES)))
    const letters = [...'abcdefghijklmnop']
    const many = letters.map((a) => letters.map((b) => `${a}${b}`).join(' '))
    assert.throws(() => writeModel(many), RangeError)
  })

  describe('in llama.cpp', function () {
    this.timeout(60_000)
    let folder: string
    let server: Child
    let url: string
    before(async function () {
      const entry = installedLlama()
      if (entry === undefined) {
        console.warn('\n    SKIPPED without llama.cpp, which "npm run demo -- --scenario security" installs\n')
        return this.skip()
      }
      folder = mkdtempSync(join(tmpdir(), 'atmo-llama-'))
      const path = join(folder, 'tiny.gguf')
      writeFileSync(path, writeModel(SENTENCES))
      server = startChild('scripts/demo/security/llama-server.ts', [entry, path, 'tiny', '__speak'])
      url = (JSON.parse(await server.line(50_000)) as { url: string }).url
    })
    after(async () => {
      server?.process.kill()
      await server?.ended
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
    })
    const chat = (body: object) => fetch(`${url}/chat/completions`, { method: 'POST', body: JSON.stringify(body) })

    it('calls a tool, with its usage', async () => {
      const answer = (await (await chat(asked('cam__get_history'))).json()) as {
        choices: [
          { finish_reason: string; message: { content: null; tool_calls: [{ function: { name: string; arguments: string } }] } }
        ]
        usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number }
      }
      const [{ finish_reason, message }] = answer.choices
      assert.deepEqual(
        [finish_reason, message.content, message.tool_calls[0].function],
        ['tool_calls', null, { name: 'cam__get_frame', arguments: '{"frame":"mx-33"}' }]
      )
      const { prompt_tokens: asks, completion_tokens: says, total_tokens: all } = answer.usage
      assert.ok(asks > 10 && says > 10 && all === asks + says)
    })

    it('streams a sentence of words that it has, and refuses what is no request', async () => {
      const messages = [{ role: 'user', content: 'x'.repeat(20_000) }]
      const response = await chat({ messages, stream: true, stream_options: { include_usage: true } })
      const events = (await response.text())
        .trim()
        .split('\n\n')
        .map((line) => line.replace('data: ', ''))
      assert.equal(events.pop(), '[DONE]')
      const chunks = events.map(
        (one) => JSON.parse(one) as { choices: { delta: { content?: string }; finish_reason: string | null }[]; usage?: object }
      )
      assert.ok(chunks.at(-1)?.usage)
      assert.ok(chunks.length > 5, 'word by word')
      const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')
      const known = new Set(SENTENCES.flatMap((sentence) => sentence.match(/[A-Za-z]+/g)))
      assert.match(text, /^[A-Z].*\.$/)
      assert.deepEqual(
        text.match(/[A-Za-z]+/g)?.filter((word) => !known.has(word)),
        []
      )
      assert.equal((await chat({ messages: [] })).status, 400)
      assert.equal((await fetch(`${url}/nothing`)).status, 404)
    })
  })
})
