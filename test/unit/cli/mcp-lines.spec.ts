import assert from 'node:assert/strict'
import fc from 'fast-check'
import { messageLines } from '../../../src/cli/mcp-lines.ts'

type Answer = { error: { code: number; message: string; data?: unknown }; id: null; jsonrpc: '2.0' }

async function read(chunks: Iterable<Uint8Array>, maxBytes?: number): Promise<{ lines: string[]; told: Answer[] }> {
  const told: Answer[] = []
  const lines: string[] = []
  const tell = async (answer: string): Promise<void> => {
    assert.match(answer, /^[^\n]*\n$/)
    told.push(JSON.parse(answer) as Answer)
  }
  async function* input(): AsyncGenerator<Uint8Array> {
    yield* chunks
  }
  for await (const line of messageLines(input(), tell, maxBytes)) lines.push(line.toString())
  return { lines, told }
}

const ping = (id: number): string => `{"jsonrpc":"2.0","id":${id},"method":"ping"}`

describe('what an MCP client sends by a pipe', () => {
  it('passes messages on as they are, in whatever pieces they come', () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 }), async (sizes) => {
        const text = `${ping(1)}\r\n\n  ${ping(2)} \n{"jsonrpc":"2.0","method":"x","params":{"ü":"\u2028"}}\n{"jsonrpc":"2.0","id":"r","result":{}}\n`
        const bytes = Buffer.from(text)
        const chunks: Uint8Array[] = []
        for (let at = 0, n = 0; at < bytes.length; n++) chunks.push(bytes.subarray(at, (at += sizes[n % sizes.length]!)))
        const { lines, told } = await read(chunks)
        assert.deepEqual([lines.join(''), told], [text.replace('\n\n', '\n'), []])
      }),
      { numRuns: 50 }
    ))

  const REFUSED: [what: string, line: string, code: number, message: RegExp][] = [
    ['what is no JSON', 'garbage{', -32_700, /not JSON/],
    ['half a message', '{"jsonrpc":"2.0",', -32_700, /not JSON/],
    ['an empty batch', '[]', -32_600, /batch/],
    ['no object', '5', -32_600, /JSON-RPC 2\.0/],
    ['another version', '{"jsonrpc":"1.0","id":1,"method":"ping"}', -32_600, /JSON-RPC 2\.0/],
    ['a method that is no text', '{"jsonrpc":"2.0","id":1,"method":5}', -32_600, /JSON-RPC 2\.0/],
    ['a key that is there twice', '{"jsonrpc":"2.0","id":5,"id":6,"method":"ping"}', -32_600, /'id' twice, at \/id/],
    [
      'one that is there twice far inside',
      '{"jsonrpc":"2.0","id":5,"method":"x","params":{"a":[{"b":1,"b":2}]}}',
      -32_600,
      /a\/0\/b/
    ],
    ['what is too long', JSON.stringify('x'.repeat(2_000)), -32_600, /over 1000 bytes/]
  ]
  for (const [what, line, code, message] of REFUSED)
    it(`answers ${what} with an error, and goes on`, async () => {
      const { lines, told } = await read([Buffer.from(`${ping(1)}\n${line}\n${ping(2)}\n${line}`)], 1_000)
      assert.deepEqual(lines, [`${ping(1)}\n`, `${ping(2)}\n`])
      assert.deepEqual(
        told.map(({ jsonrpc, id, error }) => [jsonrpc, id, error.code, message.test(error.message)]),
        Array.from({ length: 2 }, () => ['2.0', null, code, true]),
        JSON.stringify(told)
      )
    })

  it('passes each message of a batch on, and answers what is none', async () => {
    const { lines, told } = await read([Buffer.from(`[${ping(20)}, 1, ${ping(21)}]\n`)])
    assert.deepEqual(lines, [`${ping(20)}\n`, `${ping(21)}\n`])
    assert.deepEqual(
      told.map(({ error }) => error.code),
      [-32_600]
    )
  })

  it('keeps no more of a line than it takes', async () => {
    let read = 0
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (; read < 1_000; read++) yield Buffer.alloc(64 * 1024, 'x')
    }
    const told: string[] = []
    const lines = messageLines(endless(), async (answer) => void told.push(answer), 1_000)
    assert.equal((await lines.next()).done, true)
    assert.deepEqual([read, told.length], [1_000, 1])
  })
})
