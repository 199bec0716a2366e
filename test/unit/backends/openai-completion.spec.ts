import assert from 'node:assert/strict'
import { createCompletion } from '../../../src/backends/openai-completion.ts'
import type { JsonObject } from '../../../protocols/json.ts'

const LIMIT = 10_000
const delta = (said: JsonObject): JsonObject => ({ id: 'c', choices: [{ index: 0, delta: said }] })

describe('openai completion', () => {
  it('counts all that it keeps against its limit, keys as well', () => {
    const floods: [name: string, chunk: (n: number) => JsonObject][] = [
      ['keys of chunks', (n) => ({ [`k${n}`]: 'x'.repeat(100), choices: [] })],
      ['long keys of chunks', (n) => ({ [`${n}`.padEnd(100, 'k')]: '', choices: [] })],
      ['long keys of what is said', (n) => delta({ [`${n}`.padEnd(100, 'k')]: '' })],
      ['keys of an object', (n) => delta({ inner: { [`k${n}`]: '' } })],
      ['lists', () => delta({ list: [1, 2, 3] })],
      ['lists in objects', () => delta({ inner: { list: ['', ''] } })],
      ['text', () => delta({ content: 'a word' })],
      ['calls', (n) => delta({ tool_calls: [{ index: n, id: `${n}` }] })],
      ['arguments', () => delta({ tool_calls: [{ index: 0, id: 'a', function: { name: 'a', arguments: '[1,' } }] })],
      ['choices', (n) => ({ choices: [{ index: n, delta: {} }] })]
    ]
    for (const [name, chunk] of floods) {
      const completion = createCompletion(LIMIT)
      assert.throws(() => {
        for (let n = 0; n < LIMIT; n++) completion.add(chunk(n))
      }, `${name} have no end`)
    }
  })

  it('what is said with each chunk counts once: a long answer of short chunks is taken', () => {
    const completion = createCompletion(LIMIT)
    for (let n = 1; n <= 4_000; n++)
      completion.add({
        ...{ id: 'chatcmpl-0123456789', object: 'chat.completion.chunk', created: 1, model: 'a-model-with-a-name' },
        ...{ system_fingerprint: 'fp_0123456789', usage: { completion_tokens: n }, timings: { predicted_ms: n } },
        choices: [{ index: 0, delta: { content: 'a ' }, finish_reason: null, logprobs: null }]
      })
    completion.add({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
    const { choices, usage } = completion.whole() as { choices: { message: { content: string } }[]; usage: JsonObject }
    assert.deepEqual([choices[0]?.message.content.length, usage], [8_000, { completion_tokens: 4_000 }])
  })

  it('leaves the chunks as they came', () => {
    const completion = createCompletion(LIMIT)
    const chunks = [1, 2].map((n) => delta({ list: [n], inner: { list: [n] } }))
    const before = structuredClone(chunks)
    for (const chunk of chunks) completion.add(chunk)
    assert.deepEqual(chunks, before)
  })
})
