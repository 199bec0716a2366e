import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import picocolors from 'picocolors'
import { namesToShare, shareable, showScan } from '../../src/cli/show-scan.ts'
import { addShares } from '../../src/config-edit.ts'
import { parseConfig } from '../../src/config.ts'
import { readHardware } from '../../src/node-hardware.ts'
import { findMcpServers } from '../../src/node-mcp-clients.ts'
import { mcpBackend, type Scan } from '../../src/node-scan.ts'

describe('scan', () => {
  let root: string
  beforeEach(async () => (root = await mkdtemp(join(tmpdir(), 'atmo-scan-'))))
  afterEach(() => rm(root, { recursive: true }))
  const put = async (file: string, text: string): Promise<void> => {
    await mkdir(dirname(join(root, file)), { recursive: true })
    await writeFile(join(root, file), text)
  }

  it('reads what the system says of graphics, cameras and microphones', async () => {
    await put('proc/driver/nvidia/gpus/0000:01:00.0/information', 'Model: \t\t NVIDIA GeForce RTX 4090\nIRQ: 1\n')
    await put('sys/class/drm/card0/device/vendor', '0x1002\n')
    await put('sys/class/drm/card0/device/mem_info_vram_total', '17163091968\n')
    await put('sys/class/drm/card0-DP-1/device/vendor', '0x1002\n')
    await put('sys/class/drm/card1/device/vendor', '0x10de\n')
    await put('sys/class/video4linux/video10/name', 'Other\n')
    for (const n of [0, 1]) await put(`sys/class/video4linux/video${n}/name`, 'Integrated   Camera: In\n')
    await put(
      'proc/asound/pcm',
      '00-00: ALC257 Analog : ALC257 Analog : playback 1 : capture 1\n00-03: HDMI 0 : HDMI 0 : playback 1\n'
    )
    const { cpu, memoryBytes, gpus, cameras, microphones } = await readHardware(root)
    assert.ok(cpu.cores > 0 && memoryBytes > 0)
    assert.deepEqual(gpus, [{ name: 'NVIDIA GeForce RTX 4090' }, { name: 'AMD graphics', memoryBytes: 17163091968 }])
    assert.deepEqual(cameras, [
      { name: 'Integrated Camera: In', device: '/dev/video0' },
      { name: 'Other', device: '/dev/video10' }
    ])
    assert.deepEqual(microphones, [{ name: 'ALC257 Analog', device: 'hw:0,0' }])
    const nothing = await readHardware(join(root, 'nowhere'))
    assert.deepEqual([nothing.gpus, nothing.cameras, nothing.microphones], [[], [], []])
  })

  it('finds MCP servers in the configurations of their clients, and copies no secret', async () => {
    await put(
      '.config/Claude/claude_desktop_config.json',
      JSON.stringify({
        mcpServers: {
          files: { command: 'npx', args: ['-y', '@modelcontextprotocol/server-filesystem', '/tmp'] },
          github: { command: 'npx', args: ['github'], env: { GITHUB_TOKEN: 'ghp_secret' } },
          keyed: { command: 'run', args: ['--api-key', 'sk-secret'] }
        }
      })
    )
    await put(
      '.config/Code/User/mcp.json',
      '// mine\n{"servers":{"web":{"type":"http","url":"http://127.0.0.1:3001/mcp"},"asks":{"command":"x","args":["${input:a}"]}}}'
    )
    await put('.cursor/mcp.json', '{"mcpServers": "broken"}')
    await put('.claude.json', 'no JSON')
    const finds = await findMcpServers({ home: root, platform: 'linux', env: {} })
    assert.deepEqual(
      finds.map(({ client, name, withheld }) => [client, name, withheld === undefined]),
      [
        ['Claude Desktop', 'files', true],
        ['Claude Desktop', 'github', false],
        ['Claude Desktop', 'keyed', false],
        ['VS Code', 'web', true],
        ['VS Code', 'asks', false]
      ]
    )
    assert.deepEqual(finds[1]?.env, ['GITHUB_TOKEN'])
    assert.ok(!JSON.stringify(finds).includes('ghp_secret'))
    assert.deepEqual(mcpBackend(finds[3]!), { kind: 'mcp', id: 'web', url: 'http://127.0.0.1:3001/mcp' })
    const mac = await findMcpServers({ home: root, platform: 'darwin', env: {} })
    assert.deepEqual(mac, [])
  })

  describe('the configuration that it writes', () => {
    const config = (text: string) => parseConfig(text, 'atmo.yaml').backends

    it('keeps what a node offers that has none', () => {
      const { text, keepsLines } = addShares('', 'atmo.yaml', { share: ['ollama/*'], ports: [1] })
      assert.deepEqual(config(text), [{ kind: 'system' }, { kind: 'local-ai', ports: [1], share: ['ollama/*'] }])
      assert.ok(keepsLines)
    })

    it('keeps lines and comments, and adds to the backend that is there', () => {
      const before = `# my node
name: attic # at the top

backends:
  # the folder
  - kind: files
    path: ./shared # with everybody
  - kind: local-ai
    share:
      - ollama/a # small
`
      const { text, keepsLines } = addShares(before, 'atmo.yaml', {
        share: ['ollama/a', 'ollama/b'],
        backends: [{ kind: 'mcp', id: 'web', url: 'http://127.0.0.1:3001/mcp' }]
      })
      assert.ok(keepsLines, text)
      assert.deepEqual(config(text)?.slice(1), [
        { kind: 'local-ai', share: ['ollama/a', 'ollama/b'] },
        { kind: 'mcp', id: 'web', url: 'http://127.0.0.1:3001/mcp' }
      ])
      for (const comment of ['# my node', '# at the top', '# the folder', '# with everybody', '# small'])
        assert.ok(text.includes(comment))
    })

    it('says when lines would change, and refuses what is no configuration', () => {
      const flow = 'backends: [ {kind: system} ]\n'
      const { text, keepsLines } = addShares(flow, 'atmo.yaml', { share: ['x/y'] })
      assert.deepEqual([config(text)?.length, keepsLines], [2, false])
      for (const wrong of ['- a\n', 'a: [\n', 'text'])
        assert.throws(() => addShares(wrong, 'atmo.yaml', { share: ['x'] }), /cannot be read/)
    })
  })

  const scan = (): Scan => ({
    servers: [
      {
        ...{ url: 'http://127.0.0.1:11434', engine: 'ollama', name: 'Ollama', version: '0.33.0', because: '/ says so' },
        models: [
          {
            model: 'a',
            type: 'llm/chat',
            typeFrom: 'server',
            tools: true,
            loaded: false,
            contextLength: 8,
            shareName: 'ollama/a',
            shared: false
          },
          { model: 'b', type: 'llm/embed', typeFrom: 'server', shareName: 'ollama/b', shared: true },
          { model: 'c', type: 'llm/chat', typeFrom: 'assumed', withheld: 'of a cloud', shareName: 'ollama/c', shared: false }
        ]
      }
    ],
    others: [{ url: 'http://127.0.0.1:8080', because: 'none of its answers' }],
    mcp: [
      { name: 'files', client: 'Cursor', command: ['npx', 'x'], env: [], shareName: 'mcp/files' },
      { name: 'git', client: 'Cursor', command: ['git'], env: ['T'], withheld: 'secret', shareName: 'mcp/git' }
    ],
    hardware: { cpu: { model: 'm', cores: 2, architecture: 'x64' }, memoryBytes: 1e9, gpus: [], cameras: [], microphones: [] },
    configFile: '/x/atmo.yaml',
    hasConfig: false
  })

  it('shows what was found, why, and what may be shared', () => {
    const text = showScan(scan(), picocolors.createColors(false))
    for (const part of [
      'Ollama 0.33.0',
      'known by: / says so',
      '1  ollama/a',
      'cold',
      'shared',
      'of a cloud',
      'llm/chat?',
      '3  mcp/files',
      'secret',
      '1 GB',
      'none of its answers'
    ])
      assert.ok(text.includes(part), `${part}\n${text}`)
  })

  it('shares by name or glob, and says why something cannot be', () => {
    assert.deepEqual(
      shareable(scan()).map(({ name, number }) => [number, name]),
      [
        [1, 'ollama/a'],
        [2, 'ollama/b'],
        [3, 'mcp/files']
      ]
    )
    const { globs, mcp } = namesToShare(scan(), ['ollama/*', 'mcp/*'])
    assert.deepEqual([globs, mcp.map(({ name }) => name)], [['ollama/*'], ['files']])
    for (const [name, why] of [
      ['ollama/c', /of a cloud/],
      ['mcp/git', /secret/],
      ['ollama/zzz', /nothing of this name/]
    ] as const)
      assert.throws(() => namesToShare(scan(), [name]), why)
  })
})
