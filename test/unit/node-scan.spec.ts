import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import picocolors from 'picocolors'
import { namesToShare, shareable, showScan } from '../../src/cli/show-scan.ts'
import { addShares } from '../../src/config-edit.ts'
import { parseConfig } from '../../src/config.ts'
import { isMeshError } from '../../src/errors.ts'
import { serveApi, type ApiServer } from '../../src/http/serve.ts'
import { createNodeCheck } from '../../src/node-at-address.ts'
import { readHardware } from '../../src/node-hardware.ts'
import { findMcpServers } from '../../src/node-mcp-clients.ts'
import { mcpBackend, namedMcp, type Scan } from '../../src/node-scan.ts'
import { createFakeMesh } from '../fixtures/fake-mesh.ts'
import { within } from '../fixtures/libp2p-pair.ts'

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

  it('finds MCP servers in the configurations of their clients', async () => {
    const files = { command: 'npx', args: ['-y', '@modelcontextprotocol/server-filesystem@2026.8.31', '/home/me/my-projects'] }
    await put('.config/Claude/claude_desktop_config.json', JSON.stringify({ mcpServers: { files } }))
    await put(
      '.config/Code/User/mcp.json',
      '// mine\n{"servers":{"web":{"type":"http","url":"http://127.0.0.1:3001/mcp"},"asks":{"command":"x","args":["${input:a}"]}}}'
    )
    await put('.cursor/mcp.json', '{"mcpServers": "broken"}')
    await put('.claude.json', 'no JSON')
    const { servers, unread } = await findMcpServers({ home: root, platform: 'linux', env: {} })
    assert.deepEqual(servers, [
      { name: 'files', client: 'Claude Desktop', command: [files.command, ...files.args] },
      { name: 'web', client: 'VS Code', url: 'http://127.0.0.1:3001/mcp' },
      { name: 'asks', client: 'VS Code', withheld: 'it asks its client for values' }
    ])
    assert.deepEqual(unread, [
      { client: 'Claude Code', file: join(root, '.claude.json'), problem: 'is no JSON (line 1, column 2)' },
      { client: 'Cursor', file: join(root, '.cursor/mcp.json'), problem: 'has a key "mcpServers" that is no object' }
    ])
    const mac = await findMcpServers({ home: root, platform: 'darwin', env: {} })
    assert.deepEqual(mac, { servers: [], unread })
  })

  it('names a configuration that it cannot read, where it is broken, and none of its words', async () => {
    await put('.cursor/mcp.json', '\uFEFF{"mcpServers":{"web":{"url":"http://127.0.0.1:3001/mcp"}}}')
    await put(
      '.config/Code/User/mcp.json',
      '\n\n  // mine\n{\n  "servers": { "x": { "command": "npx", "env": { "K": hunter2 } } }\n}\n'
    )
    await put('.config/Claude/claude_desktop_config.json', '[]')
    await mkdir(join(root, '.claude.json'))
    const { servers, unread } = await findMcpServers({ home: root, platform: 'linux', env: {} })
    assert.deepEqual(servers, [{ name: 'web', client: 'Cursor', url: 'http://127.0.0.1:3001/mcp' }])
    assert.deepEqual(
      unread.map(({ client, problem }) => [client, problem]),
      [
        ['Claude Desktop', 'is no JSON object'],
        ['Claude Code', 'cannot be read (EISDIR)'],
        ['VS Code', 'is no JSON (line 5, column 55)']
      ]
    )
    const shown = showScan({ ...scan(), unread }, picocolors.createColors(false))
    assert.match(shown, /Code\/User\/mcp\.json of VS Code is no JSON \(line 5, column 55\): the MCP servers/)
    assert.ok(!shown.includes('hunter'))
  })

  it('copies no secret of them', async () => {
    const secret = 'hunter2'
    const opaque = 'Zk3PqL8vX1mN5tR7wY2b'
    const servers: Record<string, object> = {
      variable: { command: 'npx', args: ['github'], env: { GITHUB_TOKEN: secret } },
      header: { url: 'https://example.org/mcp', headers: { Authorization: `Bearer ${secret}` } },
      ...Object.fromEntries(
        [
          ['--api-key', secret],
          [`--password=${secret}`],
          ['--pass', secret],
          [`postgresql://me:${secret}@db/x`],
          ['--header', `Authorization: Bearer ${secret}`],
          ['-H', `bearer ${secret}`],
          ['--id', opaque],
          [`${'x'.repeat(2_000)}${secret}`],
          [`https://example.org/s/${opaque}/mcp`],
          ['3f2a9c10-7b1e-4e5d-9a8c-0d1e2f3a4b5c', secret]
        ].map((args, n) => [`argument-${n}`, { command: 'run', args }])
      ),
      ...Object.fromEntries(
        [
          `https://example.org/s/${opaque}/mcp`,
          `https://me:${secret}@example.org/mcp`,
          `https://example.org/mcp?id=${secret}`,
          `https://${opaque}.example.org/mcp`
        ].map((url, n) => [`address-${n}`, { url }])
      )
    }
    await put('.cursor/mcp.json', JSON.stringify({ mcpServers: servers }))
    const { servers: finds } = await findMcpServers({ home: root, platform: 'linux', env: {} })
    assert.equal(finds.length, Object.keys(servers).length)
    for (const find of finds) assert.deepEqual(Object.keys(find), ['name', 'client', 'withheld'], find.name)
    for (const text of [secret, opaque, '3f2a9c10', 'postgresql'])
      assert.ok(
        ![JSON.stringify(finds), showScan({ ...scan(), mcp: namedMcp(finds, []) }, picocolors.createColors(false))]
          .join()
          .includes(text)
      )
  })

  it('withholds what offers the mesh to itself, however it is started', async () => {
    const own = {
      plain: { command: 'atmo', args: ['mcp'] },
      place: { command: '/usr/local/bin/atmo', args: ['mcp', '--data-dir', '/home/me/kitchen'], env: { ATMO_DATA_DIR: '/x' } },
      before: { command: 'atmo', args: ['--all-tools', 'mcp'] },
      windows: { command: String.raw`C:\Program Files\nodejs\atmo.CMD`, args: ['mcp'] },
      shell: { command: 'cmd', args: ['/c', 'atmo', 'mcp'] },
      npx: { command: 'npx', args: ['-y', 'atmo', 'mcp'] },
      package: { command: 'npx', args: ['-y', '--package', 'atmosphere-mesh@0.1.0', 'atmo', 'mcp'] },
      named: { command: 'npx', args: ['atmosphere-mesh', 'mcp'] },
      whole: { command: 'atmo mcp' },
      script: { command: 'node', args: ['/opt/atmosphere/dist/src/cli/main.js', 'mcp'] }
    }
    const others = {
      notes: { command: 'npx', args: ['-y', 'notes', '/home/me/atmo', 'mcp'] },
      status: { command: 'atmo', args: ['status'] },
      bridge: { command: 'node', args: ['/opt/bridge/main.js', 'mcp'] }
    }
    await put('.cursor/mcp.json', JSON.stringify({ mcpServers: { ...own, ...others } }))
    const { servers } = await findMcpServers({ home: root, platform: 'linux', env: {} })
    const because = 'it is Atmosphere itself: the tools of a mesh are in it already'
    assert.deepEqual(
      servers.filter(({ withheld }) => withheld !== undefined),
      Object.keys(own).map((name) => ({ name, client: 'Cursor', withheld: because }))
    )
    assert.deepEqual(
      servers.flatMap(({ name, withheld }) => (withheld === undefined ? [name] : [])),
      Object.keys(others)
    )
  })

  describe('a node that is an MCP server over HTTP', () => {
    let node: ApiServer
    let other: Server
    /** What the other one was asked. */
    let asked: string[]
    before(async () => {
      node = await serveApi({ mesh: createFakeMesh(), token: 'T'.repeat(43) })
      other = createServer(({ url }, answer) => {
        asked.push(url!)
        answer.writeHead(404, { server: 'nginx' }).end()
      }).listen(0, '127.0.0.1')
      await once(other, 'listening')
    })
    after(async () => {
      other.close()
      await node.close()
    })
    beforeEach(() => (asked = []))

    it('is withheld for what it is, by what answers there', async () => {
      const port = (other.address() as AddressInfo).port
      const local = node.url.replace('127.0.0.1', 'localhost')
      const mcpServers = {
        plain: { url: `${node.url}/mcp` },
        wishes: { url: `${local}/mcp?tools=all` },
        header: { type: 'http', url: `${node.url}/mcp`, headers: { Authorization: 'Bearer hunter2' } },
        web: { url: `http://127.0.0.1:${port}/s/notes/mcp` },
        again: { url: `http://127.0.0.1:${port}/mcp` },
        // Nobody listens there; and elsewhere nobody is asked.
        gone: { url: 'http://127.0.0.1:1/mcp' },
        far: { url: `http://127.0.0.1.example.invalid:${port}/mcp` }
      }
      await put('.cursor/mcp.json', JSON.stringify({ mcpServers }))
      const check = createNodeCheck(new AbortController().signal)
      const { servers } = await findMcpServers({ home: root, platform: 'linux', env: {} }, check)
      const because = 'it is Atmosphere itself: the tools of a mesh are in it already'
      assert.deepEqual(servers, [
        ...['plain', 'wishes', 'header'].map((name) => ({ name, client: 'Cursor', withheld: because })),
        ...(['web', 'again', 'gone', 'far'] as const).map((name) => ({ name, client: 'Cursor', ...mcpServers[name] }))
      ])
      // Once for all, and with nothing of what may be a secret.
      assert.deepEqual(asked, ['/health'])
    })

    it('is looked for at all addresses at once, whichever configuration they are in', async () => {
      const server = (n: number): string => JSON.stringify({ mcpServers: { web: { url: `http://127.0.0.1:${n}/mcp` } } })
      await put('.config/Claude/claude_desktop_config.json', server(1))
      await put('.claude.json', server(2))
      await put('.cursor/mcp.json', server(3))
      const checked: string[] = []
      let all = (): void => {}
      const began = new Promise<void>((resolve) => (all = resolve))
      // None is answered before all are asked.
      const check = async (url: string): Promise<boolean> => {
        if (checked.push(url) === 3) all()
        await began
        return false
      }
      const { servers } = await within(findMcpServers({ home: root, platform: 'linux', env: {} }, check), 'all are asked')
      assert.deepEqual(
        servers.map(({ client, url }) => [client, url]),
        ['Claude Desktop', 'Claude Code', 'Cursor'].map((client, n) => [client, `http://127.0.0.1:${n + 1}/mcp`])
      )
    })

    it('is looked for until the scan is given up', async () => {
      const check = createNodeCheck(AbortSignal.abort(new Error('given up')))
      await assert.rejects(check(`${node.url}/mcp`))
      assert.equal(await check('no address'), false)
    })
  })

  it('gives each MCP server a name of its own, and says which are in the configuration', () => {
    const find = (client: string, name: string, ...command: string[]) => ({ client, name, command })
    const finds = [
      find('Claude Desktop', 'filesystem', 'npx', 'fs', '/a'),
      find('Cursor', 'filesystem', 'npx', 'fs', '/a'),
      find('VS Code', 'filesystem', 'npx', 'fs', '/b'),
      find('VS Code', 'File System', 'x'),
      find('VS Code', 'file-system', 'y'),
      find('VS Code', 'system', 'z'),
      { client: 'Cursor', name: 'web', url: 'http://127.0.0.1:1/mcp' }
    ]
    const of = (all: ReturnType<typeof namedMcp>) => all.map(({ id, client, shared }) => [id, client, shared])
    assert.deepEqual(of(namedMcp(finds, [])), [
      ['filesystem', 'Claude Desktop, Cursor', false],
      ['filesystem-2', 'VS Code', false],
      ['file-system', 'VS Code', false],
      ['file-system-2', 'VS Code', false],
      ['system-2', 'VS Code', false],
      ['web', 'Cursor', false]
    ])
    const backends = [
      { kind: 'mcp', id: 'filesystem', command: ['npx', 'fs', '/b'] },
      { kind: 'mcp', id: 'mine', url: 'http://127.0.0.1:1/mcp' }
    ] as const
    const again = namedMcp(
      finds,
      backends.map((one) => ({ ...one, ...('command' in one && { command: [...one.command] }) })) as never
    )
    assert.deepEqual(of(again), [
      ['filesystem-2', 'Claude Desktop, Cursor', false],
      ['filesystem', 'VS Code', true],
      ['file-system', 'VS Code', false],
      ['file-system-2', 'VS Code', false],
      ['system', 'VS Code', false],
      ['mine', 'Cursor', true]
    ])
    const text = addShares('', 'atmo.yaml', { backends: namedMcp(finds, []).map((one) => mcpBackend(one, [])) }).text
    assert.equal(parseConfig(text, 'atmo.yaml').backends?.length, 7)
  })

  it('makes readable ids of names in any script, the same each time, and none twice', () => {
    const ids = (...names: string[]): string[] =>
      namedMcp(
        names.map((name, n) => ({ client: 'Cursor', name, command: ['npx', String(n)] })),
        []
      ).map(({ id }) => id)
    assert.deepEqual(ids('Übersicht', 'Café №2', 'ＦＵＬＬ', 'ﬁles', 'My Files!'), [
      'ubersicht',
      'cafe-no2',
      'full',
      'files',
      'my-files'
    ])
    const [files, weather, mixed, drawn, street] = ids('файлы', '天気', 'Wetter 天気 7', '📁', 'Straße')
    assert.match(files!, /^mcp-[0-9a-f]{8}$/)
    assert.match(weather!, /^mcp-[0-9a-f]{8}$/)
    assert.match(mixed!, /^wetter-7-[0-9a-f]{8}$/)
    assert.match(drawn!, /^mcp-[0-9a-f]{8}$/)
    assert.match(street!, /^stra-e-[0-9a-f]{8}$/)
    assert.deepEqual(ids('📁', '天気', 'файлы'), [drawn, weather, files], 'whatever else is there')
    assert.deepEqual(ids('が'.normalize('NFD')), ids('が'.normalize('NFC')), 'composed or not')
    assert.deepEqual(ids('天気', '天気'), [weather, `${weather}-2`])
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 200 }), { maxLength: 20 }), (names) => {
        const made = ids(...names)
        assert.equal(new Set(made).size, names.length)
        for (const id of made) assert.match(id, /^[a-z0-9][a-z0-9._:-]{0,127}$/)
      })
    )
  })

  it('offers no tool of an MCP server that is not named', () => {
    const [find] = namedMcp([{ client: 'Cursor', name: 'files', command: ['npx'] }], [])
    assert.deepEqual(mcpBackend(find!, []), { kind: 'mcp', id: 'files', command: ['npx'], tools: { allow: [] } })
    assert.deepEqual(mcpBackend({ ...find!, command: undefined, url: 'http://x' }, ['read-*']), {
      ...{ kind: 'mcp', id: 'files', url: 'http://x', tools: { allow: ['read-*'] } }
    })
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

    it('looks at a port that is given also where the backend is there, and at the usual ones still', () => {
      const own = (more: string) => `backends:\n  - kind: local-ai\n${more}    share: []\n`
      const written = (more: string) =>
        config(addShares(own(more), 'atmo.yaml', { share: ['openai/*'], ports: [5_000, 11_434] }).text)
      const share = ['openai/*']
      assert.deepEqual(written(''), [{ kind: 'local-ai', share, servers: [{ url: 'http://127.0.0.1:5000' }] }])
      assert.deepEqual(written('    ports: [1, 5000]\n'), [{ kind: 'local-ai', ports: [1, 5_000, 11_434], share }])
      const servers = '    servers:\n      - url: http://127.0.0.1:5000/\n        engine: jan\n'
      assert.deepEqual(written(servers), [
        { kind: 'local-ai', servers: [{ url: 'http://127.0.0.1:5000/', engine: 'jan' }], share }
      ])
      const other = '    servers:\n      - url: http://127.0.0.1:1337\n'
      assert.deepEqual(written(other), [
        { kind: 'local-ai', servers: [{ url: 'http://127.0.0.1:1337' }, { url: 'http://127.0.0.1:5000' }], share }
      ])
    })

    it('adds tools to an MCP server that is there, and changes nothing where all is said already', () => {
      const own = (tools: string) =>
        `# mine\nbackends:\n  - kind: mcp\n    id: web\n    url: http://127.0.0.1:1/mcp\n  - kind: mcp\n    id: files\n    command: [ npx, x ]\n${tools}`
      const add = (text: string, ...allow: string[]) => addShares(text, 'atmo.yaml', { tools: [{ backend: 'files', allow }] })
      const toolsIn = (text: string) => (config(text)?.[1] as { tools?: unknown }).tools
      const empty = own('    tools:\n      allow: []\n')
      const first = add(empty, 'read_*', 'list')
      assert.deepEqual([first.changed, first.keepsLines], [true, true])
      assert.deepEqual(toolsIn(first.text), { allow: ['read_*', 'list'] })
      const more = add(first.text, 'list', 'write')
      assert.deepEqual([more.changed, more.keepsLines, toolsIn(more.text)], [true, true, { allow: ['read_*', 'list', 'write'] }])
      // Another line of its owner, in a form of his own.
      const odd = add(`${empty}name:   attic\n`, 'read_*')
      assert.deepEqual([odd.changed, odd.keepsLines], [true, false])
      for (const [text, ...allow] of [
        [more.text, 'list'],
        [empty],
        // All are offered.
        [own(''), 'list'],
        [own('    tools: { deny: [x] }\n'), 'list']
      ] as [string, ...string[]][])
        assert.deepEqual(add(text, ...allow), { text, changed: false, keepsLines: true })
      const shared = addShares('', 'atmo.yaml', { share: ['ollama/*'] }).text
      assert.equal(addShares(shared, 'atmo.yaml', { share: ['ollama/*'] }).changed, false)
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
      { name: 'files', client: 'Cursor', command: ['npx', 'x'], id: 'files', shareName: 'mcp/files', shared: false },
      { name: 'git', client: 'Cursor', withheld: 'secret', id: 'git', shareName: 'mcp/git', shared: false }
    ],
    unread: [],
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
    // What is there already is not written twice, nor is a model that two servers have listed twice.
    const again = { ...scan(), mcp: scan().mcp.map((one) => ({ ...one, shared: true })) }
    assert.deepEqual(
      namesToShare(again, ['mcp/files']).mcp.map(({ name, shared }) => [name, shared]),
      [['files', true]]
    )
    assert.deepEqual(shareable({ ...again, servers: [...again.servers, ...again.servers] }).length, 3)
    for (const [name, why] of [
      ['ollama/c', /of a cloud/],
      ['mcp/git', /secret/],
      ['ollama/zzz', /nothing of this name/],
      ['mcp/o*', /nothing of this name/]
    ] as const)
      // What was found decides that, not the command line alone: no wrong usage.
      assert.throws(
        () => namesToShare(scan(), [name]),
        (error) => isMeshError(error, 'invalid_argument') && why.test(error.message)
      )
    // What fits no model that was found, would share whatever comes; and no MCP server is named by such a glob.
    for (const name of ['*', 'm*', 'mcp*'])
      assert.throws(() => namesToShare({ ...scan(), servers: [] }, [name]), /nothing of this name/, name)
    assert.deepEqual(namesToShare(scan(), ['*']), { globs: ['*'], mcp: [] })
  })
})
