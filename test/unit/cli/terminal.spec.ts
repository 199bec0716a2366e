import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { ensureApiToken, openDataDir, writeNodeFile, type DataDir } from '../../../src/data-dir.ts'
import { serveApi, type ApiServer } from '../../../src/http/serve.ts'
import { createFakeMesh, type FakeMesh } from '../../fixtures/fake-mesh.ts'
import { startOllamaStandIn, type OllamaStandIn } from '../../fixtures/ollama-stand-in.ts'
import { atTerminal, plainSoFar, requireTerminal, type Terminal } from '../../fixtures/terminal.ts'

/** What is asked only of a person: at a terminal of the system, with the keys that a person types. */
describe('questions at a terminal', function () {
  this.timeout(60_000)
  let dir: string
  const terminals: Terminal[] = []
  before(function () {
    requireTerminal(this)
  })
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'atmo-terminal-'))
  })
  afterEach(async () => {
    for (const terminal of terminals.splice(0)) {
      terminal.kill()
      await terminal.ended
    }
    await rm(dir, { recursive: true, force: true })
  })
  const at = (args: string[], env?: Record<string, string>): Terminal => {
    const terminal = atTerminal(args, env)
    terminals.push(terminal)
    return terminal
  }

  describe('of atmo scan', () => {
    let ollama: OllamaStandIn
    let home: string
    beforeEach(async () => {
      ollama = await startOllamaStandIn()
      home = join(dir, 'home')
      await mkdir(join(home, '.cursor'), { recursive: true })
      const files = { command: 'npx', args: ['files', '/tmp'] }
      await writeFile(join(home, '.cursor/mcp.json'), JSON.stringify({ mcpServers: { files } }))
    })
    afterEach(() => ollama.close())
    const scan = (node = 'node'): Terminal =>
      at(['scan', '--port', String(ollama.port), '--data-dir', join(dir, node)], { HOME: home })
    const written = (node = 'node'): Promise<string | undefined> =>
      readFile(join(dir, node, 'atmo.yaml'), 'utf8').catch(() => undefined)
    const WHICH = /Share which\? Their numbers, "all", or nothing: $/

    it('shares by their numbers, and asks which tools of an MCP server', async () => {
      const terminal = scan()
      const list = await terminal.shows(WHICH)
      const number = (name: string): string => new RegExp(`^ *(\\d+) +.*${name}`, 'm').exec(list)![1]!
      terminal.type(`${number('llama3.2:3b')}, ${number('mcp/files')}\r`)
      await terminal.shows(/Which of their tools\? .*: $/)
      terminal.type('read_* list_directory\r')
      const { code, shown } = await terminal.ended
      assert.equal(code, 0, shown)
      assert.match(shown, /● shares ollama\/llama3\.2:3b, mcp\/files by /)
      const text = (await written()) ?? ''
      assert.match(text, /kind: local-ai[^]*- ollama\/llama3\.2:3b/)
      assert.match(text, /kind: mcp\n +id: files[^]*allow:\n +- read_\*\n +- list_directory\n/)
      assert.ok(!text.includes('llava'), 'what was not chosen')
    })

    it('shares nothing for Enter, for a number of nothing, and when it is left by Ctrl-C or Ctrl-D', async () => {
      const answers = ['\r', '99\r', '\x03', '\x04']
      const all = answers.map(async (keys) => {
        const terminal = scan()
        await terminal.shows(WHICH)
        terminal.type(keys)
        return terminal.ended
      })
      const [nothing, wrong, ...left] = await Promise.all(all)
      assert.equal(nothing!.code, 0, nothing!.shown)
      assert.equal(wrong!.code, 2)
      assert.match(wrong!.shown, /"99" is no number of the list that is not shared yet/)
      for (const { code, shown } of left) {
        assert.equal(code, 1, shown)
        assert.match(shown, /error: the operation was cancelled\n$/)
      }
      assert.equal(await written(), undefined)
    })

    it('asks before it writes lines of a person in another form', async () => {
      const flow = 'backends: [ {kind: system} ]  # mine\n'
      const texts = Object.entries({ enter: '\r', yes: 'y\r' }).map(async ([node, keys]) => {
        await mkdir(join(dir, node))
        await writeFile(join(dir, node, 'atmo.yaml'), flow)
        const terminal = scan(node)
        const list = await terminal.shows(WHICH)
        terminal.type(`${/^ *(\d+) +.*llava/m.exec(list)![1]}\r`)
        await terminal.shows(/in another form\. Write it\? \[y\/N\] $/)
        terminal.type(keys)
        assert.equal((await terminal.ended).code, 0)
        return written(node)
      })
      const [kept, changed] = await Promise.all(texts)
      assert.equal(kept, flow)
      assert.match(changed!, /ollama\/llava:7b[^]*# mine/)
    })
  })

  describe('of atmo ask', () => {
    let held: DataDir
    let server: ApiServer
    let mesh: FakeMesh
    beforeEach(async () => {
      held = await openDataDir(join(dir, 'node'))
      mesh = createFakeMesh({ ask: async () => ({ text: 'It rings.' }) })
      server = await serveApi({ mesh, token: await ensureApiToken(held.path) })
      const startedAt = new Date().toISOString()
      await writeNodeFile(held.path, { pid: process.pid, api: server.url, peerId: mesh.peerId, startedAt })
    })
    afterEach(async () => {
      await server.close()
      await held.release()
    })
    const ask = (...args: string[]): Terminal => at(['ask', ...args, '--data-dir', held.path])
    const learned = (): string[] => mesh.examples.list().examples.map(({ text }) => text)
    const MEANT = /It rings\.\n[^]*Was that what you meant\? \[Y\/n\] $/

    it('asks after the answer whether the agent was meant: Enter and yes teach it, no, Ctrl-C and Ctrl-D do not', async () => {
      const answers = { enter: '\r', yes: 'y\r', no: 'n\r', leave: '\x03', end: '\x04' }
      await Promise.all(
        Object.entries(answers).map(async ([name, keys]) => {
          const terminal = ask(`${name} please`)
          await terminal.shows(MEANT)
          terminal.type(keys)
          await terminal.ended
        })
      )
      assert.deepEqual(learned().sort(), ['enter please', 'yes please'])
    })

    it('asks nothing where several are meant, an agent is named, or it is told by --confirm', async () => {
      const [several, named, confirmed] = await Promise.all(
        [ask('perhaps that'), ask('demo', 'ring please'), ask('ring it please', '--confirm')].map(({ ended }) => ended)
      )
      assert.equal(several!.code, 1)
      assert.match(several!.shown, /this may be meant for demo or other[^]*atmo ask demo "…"/)
      for (const { code, shown } of [named!, confirmed!]) assert.deepEqual([code, /It rings\./.test(shown)], [0, true], shown)
      for (const { shown } of [several!, named!, confirmed!]) assert.ok(!shown.includes('Was that'), shown)
      assert.deepEqual(learned(), ['ring it please'])
    })
  })
})

describe('what a terminal has shown so far', () => {
  it('only ever grows, wherever the sequences in it are cut', () => {
    const pieces = [
      ...['word', '1', ': ', 'm', '\r\n'],
      ...['\u001b[31m', '\u001b[39;49m', '\u001b[2K', '\u001b[?25l', '\u001b[G', '\u001b]0;atmo\u0007', '\u001b(B']
    ]
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), (shown) => {
        const all = shown.join('')
        const words = shown.filter((piece) => !piece.startsWith('\u001b'))
        const plain = words.join('').replaceAll('\r', '')
        assert.equal(plainSoFar(all), plain)
        for (let end = 0; end <= all.length; end++) assert.ok(plain.startsWith(plainSoFar(all.slice(0, end))), `cut at ${end}`)
      })
    )
  })
})
