import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { defaultConfigFile, loadSettings } from '../../src/config-file.ts'
import { patternInWords } from '../../src/config-patterns.ts'
import { CONFIG_SCHEMA } from '../../src/config-schema.ts'
import { mergeConfig, parseConfig } from '../../src/config.ts'
import { isMeshError, type MeshError } from '../../src/errors.ts'

const FULL = `
name: kitchen
listen: [/ip4/0.0.0.0/tcp/4001]
peers:
  - /ip4/192.0.2.1/tcp/4001
api: 127.0.0.1:7700
mdns: { interfaces: { allow: [eth*], deny: [docker*] } }
backends:
  - kind: mcp
    id: everything
    command: [npx, -y, server]
  - { kind: mcp, id: web, url: "http://127.0.0.1:3001/mcp" }
  - kind: command
    id: shell
    type: compute/shell
    description: Programs
    tools:
      - name: date
        description: The date
        run: [date, "+{format}"]
        input: { type: object, properties: { format: { type: string } } }
`

const COMMAND = 'backends:\n  - kind: command\n    id: x\n    type: a/b\n    tools:\n'

function messageOf(text: string): string {
  try {
    parseConfig(text, 'atmo.yaml')
  } catch (error) {
    assert.ok(isMeshError(error, 'invalid_config'), String(error))
    return error.message
  }
  return assert.fail('it was taken')
}

describe('config', () => {
  it('takes every key of the contract', () => {
    const config = parseConfig(FULL, 'atmo.yaml')
    assert.equal(config.name, 'kitchen')
    assert.deepEqual(
      config.backends?.map(({ kind }) => kind),
      ['mcp', 'mcp', 'command']
    )
    assert.deepEqual(config.mdns, { interfaces: { allow: ['eth*'], deny: ['docker*'] } })
  })
  it('takes an empty file, and mdns as a switch', () => {
    assert.deepEqual(parseConfig('', 'x'), {})
    assert.deepEqual(parseConfig('# nothing\n', 'x'), {})
    assert.deepEqual(parseConfig('mdns: false', 'x'), { mdns: false })
    assert.deepEqual(parseConfig('audit: { arguments: true }', 'x'), { audit: { arguments: true } })
    const cost = { power: 'low-battery', metered: true, price: 0.5 }
    assert.deepEqual(parseConfig('cost: { power: low-battery, metered: true, price: 0.5 }', 'x'), { cost })
  })

  const BROKEN: [what: string, text: string, message: string | RegExp][] = [
    [
      'a wrong type deep inside',
      'name: a\nbackends:\n  - kind: system\n  - kind: mcp\n    id: x\n    # note\n    command: npx server\n',
      'atmo.yaml:7:14 backends[1].command: must be array'
    ],
    [
      'a typo in what the audit log keeps',
      'audit: { argments: true }\n',
      /^atmo\.yaml:1:10 audit\.argments: unknown key; did you mean 'arguments'/
    ],
    [
      'a number for a model',
      'meaning: { writeExamples: 5 }\n',
      'atmo.yaml:1:27 meaning.writeExamples: must be boolean or string'
    ],
    ['a power that there is not', 'cost: { power: solar }\n', /^atmo\.yaml:1:16 cost\.power: .*mains.*battery.*low-battery/],
    ['a price below nothing', 'cost: { price: -1 }\n', /^atmo\.yaml:1:16 cost\.price: must be 0 to 1000000$/],
    ['a typo at the top', 'nmae: a\n', "atmo.yaml:1:1 nmae: unknown key; did you mean 'name'?"],
    [
      'a typo inside',
      'backends:\n  - kind: mcp\n    id: x\n    comand: [a]\n',
      "atmo.yaml:4:5 backends[0].comand: unknown key; did you mean 'command'?"
    ],
    ['a key like no other', 'zzzzzz: 1\n', /^atmo\.yaml:1:1 zzzzzz: unknown key; known are: name, listen/],
    [
      'a kind that does not exist',
      'backends:\n  - kind: mpc\n    id: x\n',
      "atmo.yaml:2:11 backends[0].kind: unknown kind 'mpc'; did you mean 'mcp'?"
    ],
    ['no kind', 'backends:\n  - id: x\n', /^atmo\.yaml:2:5 backends\[0\](\.kind)?: /],
    [
      'neither command nor url',
      'backends:\n  - kind: mcp\n    id: x\n',
      "atmo.yaml:2:5 backends[0]: must have 'command' or 'url'"
    ],
    [
      'both command and url',
      "backends:\n  - { kind: mcp, id: x, command: [a], url: 'http://a' }\n",
      /cannot have both ('url' and 'command'|'command' and 'url')$/
    ],
    ['a missing key', 'backends:\n  - kind: command\n    id: x\n', "atmo.yaml:2:5 backends[0]: key 'type' is missing"],
    ['a wrong item', 'listen: [/ip4/1.2.3.4/tcp/1, 7]\n', 'atmo.yaml:1:30 listen[1]: must be string'],
    [
      'a port for an address',
      'peers: [localhost:4001]\n',
      'atmo.yaml:1:9 peers[0]: "localhost:4001" is no multiaddr; write it like /ip4/192.168.1.20/tcp/4001 (https://multiformats.io/multiaddr/)'
    ],
    ['an IP address that is none', 'peers: [/ip4/999.0.0.1/tcp/1]\n', /^atmo\.yaml:1:9 peers\[0\]: "[^"]+" is no multiaddr/],
    ['a host and port to listen on', 'listen: [127.0.0.1:4001]\n', /^atmo\.yaml:1:10 listen\[0\]: .*write it like \/ip4\//],
    ['UDP to listen on', 'listen: [/ip4/1.2.3.4/udp/1]\n', /^atmo\.yaml:1:10 listen\[0\]: .*only TCP, WebSocket and WebRTC/],
    [
      'a wrong API address',
      'api: foo\n',
      "atmo.yaml:1:6 api: 'foo' is not an address for the local API; write HOST:PORT, such as 127.0.0.1:7700"
    ],
    [
      'a mesh that is no id',
      'policy: [{effect: allow, meshes: [foo]}]\n',
      /^atmo\.yaml:1:35 policy\[0\]\.meshes\[0\]: "foo" is no id of a mesh; atmo treaty list --json shows/
    ],
    [
      'a mesh that is no id, in a limit',
      'limits: [{concurrent: 1, meshes: [foo]}]\n',
      /^atmo\.yaml:1:35 limits\[0\]\.meshes\[0\]: "foo" is no id of a mesh/
    ],
    [
      'a node that is no PeerId',
      'policy: [{effect: allow, nodes: [foo]}]\n',
      /^atmo\.yaml:1:34 policy\[0\]\.nodes\[0\]: "foo" is no PeerId; atmo members/
    ],
    [
      'a tag with capitals',
      'policy: [{effect: allow, tags: [UPPER]}]\n',
      'atmo.yaml:1:33 policy[0].tags[0]: "UPPER" is no tag: small letters, digits, . _ and -, up to 32'
    ],
    [
      'a limit of nothing',
      'limits: [{roles: [guest]}]\n',
      "atmo.yaml:1:10 limits[0]: must have 'callsPerMinute' or 'concurrent' or 'bytesPerMinute' or 'tokensPerDay'"
    ],
    [
      'a mistyped limit',
      'limits: [{callsPerMinut: 3}]\n',
      "atmo.yaml:1:11 limits[0].callsPerMinut: unknown key; did you mean 'callsPerMinute'?"
    ],
    ['a wrong name', 'name: a/b\n', /^atmo\.yaml:1:7 name: "a\/b" is no name for a node/],
    [
      'a placeholder without a property',
      `${COMMAND}      - { name: a, run: [echo, '{nix}'] }\n`,
      /^atmo\.yaml:6:25 backends\[0\]\.tools\[0\]\.run: .*placeholder \{nix\} is no property/
    ],
    [
      'two tools of one name',
      `${COMMAND}      - { name: a, run: [b] }\n      - { name: a, run: [b] }\n`,
      "atmo.yaml:7:17 backends[0].tools[1].name: 'a' is the name of tools[0] already; rename one"
    ],
    [
      'a schema that is none',
      `${COMMAND}      - { name: a, run: [b], input: { type: objekt } }\n`,
      /^atmo\.yaml:6:37 backends\[0\]\.tools\[0\]\.input: 'input' is not a usable JSON Schema/
    ],
    ['mdns in words', 'mdns: maybe\n', 'atmo.yaml:1:7 mdns: must be boolean or object'],
    [
      'a typo under mdns',
      'mdns: { interfaces: { alow: [a] } }\n',
      "atmo.yaml:1:23 mdns.interfaces.alow: unknown key; did you mean 'allow'?"
    ],
    [
      'a glob that is too long to be looked at',
      `mdns: { interfaces: { deny: ['${'x'.repeat(257)}'] } }\n`,
      /^atmo\.yaml:1:30 mdns\.interfaces\.deny\[0\]: must NOT have more than 256 characters/
    ],
    [
      'such a glob over tools',
      `backends: [{ kind: mcp, id: x, command: [a], tools: { deny: ['${'x'.repeat(257)}'] } }]\n`,
      /^atmo\.yaml:1:62 backends\[0\]\.tools\.deny\[0\]: must NOT have more than 256 characters/
    ],
    ['a list for a file', '- a\n- b\n', 'atmo.yaml:1:1 (top): must be object'],
    [
      'a hook that another backend has',
      'backends:\n  - { kind: webhook, id: a, in: [{ hook: x, event: e, secretEnv: S }] }\n  - { kind: webhook, id: b, in: [{ hook: x, event: e, secretEnv: S }] }\n',
      "atmo.yaml:3:42 backends[1].in[0].hook: 'x' is the hook of backends[0].in[0] already; rename one"
    ],
    [
      'a payload of a hook that is no schema',
      'backends:\n  - { kind: webhook, id: a, in: [{ hook: x, event: e, secretEnv: S, payload: { type: 1 } }] }\n',
      /^atmo\.yaml:2:\d+ backends\[0\]\.in\[0\]\.payload: 'payload' is not a usable JSON Schema/
    ],
    [
      'events that come back by the broker',
      'backends:\n  - { kind: mqtt, id: a, url: "mqtt://b", subscribe: [{ event: e, topic: "a/#" }], handles: { topic: "a/{type}" } }\n',
      /^atmo\.yaml:2:\d+ backends\[0\]\.handles\.topic: what is published to "a\/\{type\}" would come back by subscribe\[0\], without end/
    ],
    ['broken YAML', 'name: a\nbackends: [\n', /^atmo\.yaml:\d:\d+ /],
    ['a key twice', 'name: a\nname: b\n', /^atmo\.yaml:2:1 Map keys must be unique/],
    ['tabs', 'backends:\n\t- kind: mcp\n', /^atmo\.yaml:2:1 /],
    [
      'an id twice',
      'backends:\n  - { kind: files, path: a }\n  - { kind: files, path: b }\n',
      "atmo.yaml:3:5 backends[1].id: 'files' is the id of backends[0] already"
    ],
    [
      'a cron expression that is none',
      'backends:\n  - { kind: schedule, triggers: [{ event: a, cron: 0 25 * * * }] }\n',
      /^atmo\.yaml:2:\d+ backends\[0\]\.triggers\[0\]\.cron: trigger "a": "0 25 \* \* \*" is no cron expression: Invalid value for hour/
    ],
    [
      'two triggers of one name',
      'backends:\n  - { kind: schedule, triggers: [{ event: a, every: 1s }, { event: a, every: 2s }] }\n',
      /^atmo\.yaml:2:\d+ backends\[0\]\.triggers\[1\]\.event: 'a' is the name of triggers\[0\] already; rename one/
    ],
    [
      'topics that overlap',
      'backends:\n  - { kind: mqtt, id: m, url: "mqtt://b", subscribe: [{ event: a, topic: "x/#" }, { event: b, topic: x/y }] }\n',
      /^atmo\.yaml:2:\d+ backends\[0\]\.subscribe\[1\]\.topic: "x\/y" has topics of subscribe\[0\] as well/
    ],
    [
      'an agent with the id of a backend',
      'backends: [{ kind: files, path: a }]\nagents:\n  - { id: files, instructions: x }\n',
      "atmo.yaml:3:11 agents[0].id: 'files' is the id of backends[0] already"
    ],
    [
      'an agent twice',
      'agents:\n  - { id: a, instructions: x }\n  - { id: a, instructions: x }\n',
      "atmo.yaml:3:11 agents[1].id: 'a' is the id of agents[0] already"
    ],
    [
      'an event twice',
      'agents: [{ id: a, instructions: x, triggers: [{ event: e }, { event: e }] }]\n',
      /^atmo\.yaml:1:\d+ agents\[0\]\.triggers\[1\]\.event: 'e' is the event of triggers\[0\] already/
    ],
    [
      'a limit of an agent',
      'agents:\n  - { id: a, instructions: x, limits: { steps: 0 } }\n',
      /agents\[0\]\.limits\.steps: must be 1 to 256$/
    ],
    [
      'a mistyped key of an agent',
      'agents:\n  - { id: a, instruction: x }\n',
      /agents\[0\]\.instruction: .*did you mean 'instructions'/
    ],
    [
      'rules of an agent',
      'agents:\n  - { id: a, instructions: x, tools: [{}] }\n',
      /agents\[0\]\.tools\[0\]: must NOT have fewer/
    ],
    [
      'an id with capitals',
      'backends:\n  - { kind: files, path: a, id: A }\n',
      'atmo.yaml:2:33 backends[0].id: must be an id: small letters, digits, . _ : and -, up to 128, a letter or digit first'
    ],
    [
      'a secret in the place of its variable, and does not repeat it',
      'backends: [{ kind: openai-chat, id: a, model: m, baseUrl: "http://h/v1", apiKeyEnv: sk-123 }]\n',
      /^atmo\.yaml:1:\d+ backends\[0\]\.apiKeyEnv: must be the name of a variable, such as API_KEY(?!.*sk-123)/
    ],
    [
      'a fanOut in other words',
      'backends: [{ kind: command, id: a, type: b, triggers: [{ event: e, fanOut: some }] }]\n',
      /^atmo\.yaml:1:\d+ backends\[0\]\.triggers\[0\]\.fanOut: must be "one", "all" or a whole number from 1$/
    ],
    [
      'a fanOut to nobody',
      'backends: [{ kind: command, id: a, type: b, triggers: [{ event: e, fanOut: 0 }] }]\n',
      /\.fanOut: must be "one", "all" or a whole number from 1$/
    ],
    [
      'half a fanOut of an agent',
      'agents: [{ id: a, instructions: x, triggers: [{ event: e, fanOut: 1.5 }] }]\n',
      /agents\[0\]\.triggers\[0\]\.fanOut: must be string or integer$/
    ],
    [
      'a handles of an agent that is no choice',
      'agents: [{ id: a, instructions: x, handles: 1 }]\n',
      /^atmo\.yaml:1:45 agents\[0\]\.handles: must be false or keys with values$/
    ],
    [
      'a typo in handles of an agent',
      'agents: [{ id: a, instructions: x, handles: { orderd: true } }]\n',
      "atmo.yaml:1:47 agents[0].handles.orderd: unknown key; did you mean 'ordered'?"
    ],
    [
      'a wrong value in handles of an agent',
      'agents: [{ id: a, instructions: x, handles: { ordered: 1 } }]\n',
      /agents\[0\]\.handles\.ordered: must be boolean$/
    ],
    [
      'more requests to a hook than it may take',
      'backends: [{ kind: webhook, id: w, in: [{ hook: h, event: e, secretEnv: S, perMinute: 3001 }] }]\n',
      /in\[0\]\.perMinute: must be 1 to 3000$/
    ],
    [
      'a typo in the options of an event',
      'backends: [{ kind: speech, triggers: { speech_complete: { priorty: high } } }]\n',
      /triggers\.speech_complete\.priorty: unknown key; did you mean 'priority'\?$/
    ]
  ]
  for (const [what, text, message] of BROKEN) {
    it(`names place and key of ${what}`, () => {
      if (typeof message === 'string') assert.equal(messageOf(text), message)
      else assert.match(messageOf(text), message)
    })
  }
  it('has words for every pattern', () => {
    const patterns = new Set<string>()
    const walk = (schema: unknown): void => {
      if (typeof schema !== 'object' || schema === null) return
      if ('pattern' in schema && typeof schema.pattern === 'string') patterns.add(schema.pattern)
      Object.values(schema).forEach(walk)
    }
    walk(CONFIG_SCHEMA)
    assert.ok(patterns.size > 10)
    assert.deepEqual(
      [...patterns].filter((pattern) => patternInWords(pattern) === undefined),
      []
    )
  })
  it('tells all problems, ten at most, in the order of the file', () => {
    assert.deepEqual(
      messageOf('nmae: a\nlisten: 1\nmdns: 2\n')
        .split('\n')
        .map((line) => line.slice(0, 11)),
      ['atmo.yaml:1', 'atmo.yaml:2', 'atmo.yaml:3']
    )
    assert.equal(messageOf(Array.from({ length: 50 }, (_, index) => `unknown${index}: 1`).join('\n')).split('\n').length, 10)
    try {
      parseConfig('name: 1', 'atmo.yaml')
    } catch (error) {
      assert.deepEqual((error as MeshError).details, {
        file: 'atmo.yaml',
        problems: [{ line: 1, column: 7, path: 'name', message: 'must be string' }]
      })
    }
  })
  it('refuses a file that blows up', () => {
    const laughs = [
      'a0: &a0 [x, x]',
      ...Array.from({ length: 30 }, (_, index) => `a${index + 1}: &a${index + 1} [*a${index}, *a${index}]`)
    ].join('\n')
    assert.match(messageOf(laughs), /alias/)
  })
  it('follows aliases to the place of a problem', () => {
    assert.match(
      messageOf('backends:\n  - &one { kind: mcp, id: x, command: 1 }\n'),
      /^atmo\.yaml:2:39 backends\[0\]\.command: must be array$/
    )
  })
  it('flags win; peers are added', () => {
    const merged = mergeConfig(
      { name: 'a', listen: ['/x'], peers: ['/1', '/2'] },
      { name: 'b', listen: undefined, peers: ['/2', '/3'], mdns: false }
    )
    assert.deepEqual(merged, { name: 'b', listen: ['/x'], peers: ['/1', '/2', '/3'], mdns: false })
  })
  it('the published schema is up to date', async function () {
    this.timeout(20_000)
    const script = fileURLToPath(new URL('../../scripts/config-schema.ts', import.meta.url))
    await promisify(execFile)(process.execPath, ['--import', 'tsx', script, '--check'])
  })

  describe('settings', () => {
    let dir: string
    beforeEach(async () => {
      dir = await mkdtemp(join(tmpdir(), 'atmo-config-'))
    })
    afterEach(() => rm(dir, { recursive: true, force: true }))

    it('take flags before environment before file', async () => {
      const file = join(dir, 'my.yaml')
      await writeFile(file, 'name: file\napi: 127.0.0.1:1\npeers: [/dns4/a/tcp/1]\n')
      const env = { ATMO_API: '127.0.0.1:2', ATMO_CONFIG: file, ATMO_DATA_DIR: join(dir, 'data') }
      const settings = await loadSettings({}, { env })
      assert.deepEqual(
        [settings.config.api, settings.config.name, settings.dataDir, settings.baseDir, settings.file],
        ['127.0.0.1:2', 'file', join(dir, 'data'), dir, file]
      )
      const flagged = await loadSettings({ api: '127.0.0.1:3', name: 'flag', peers: ['/b'], dataDir: dir }, { env })
      assert.deepEqual(
        [flagged.config.api, flagged.config.name, flagged.config.peers, flagged.dataDir],
        ['127.0.0.1:3', 'flag', ['/dns4/a/tcp/1', '/b'], dir]
      )
    })
    it('find atmo.yaml in a chosen data directory, else in the XDG one', async () => {
      await writeFile(join(dir, 'atmo.yaml'), 'name: found\n')
      assert.equal((await loadSettings({ dataDir: dir }, { env: {} })).config.name, 'found')
      const xdg = { env: { XDG_CONFIG_HOME: join(dir, 'xdg') }, platform: 'linux', home: dir } as const
      assert.equal(defaultConfigFile(join(dir, '.local/share/atmosphere'), xdg), join(dir, 'xdg/atmosphere/atmo.yaml'))
      await mkdir(join(dir, 'xdg/atmosphere'), { recursive: true })
      await writeFile(join(dir, 'xdg/atmosphere/atmo.yaml'), 'name: xdg\n')
      assert.equal((await loadSettings({}, xdg)).config.name, 'xdg')
      assert.equal((await loadSettings({ dataDir: join(dir, 'other') }, xdg)).file, undefined)
    })
    it('read the API key, relative to the file that names it', async () => {
      await writeFile(join(dir, 'atmo.yaml'), 'apiKeyFile: key.txt\n')
      await writeFile(join(dir, 'key.txt'), 'secret-secret-secret\n')
      assert.equal((await loadSettings({ dataDir: dir }, { env: {} })).apiKey, 'secret-secret-secret')
      await assert.rejects(loadSettings({ apiKeyFile: join(dir, 'none') }, { env: {} }), (error) =>
        isMeshError(error, 'invalid_config')
      )
    })
    it('name a file that cannot be read or is too large', async () => {
      await assert.rejects(
        loadSettings({ config: join(dir, 'none.yaml') }, { env: {} }),
        (error) => isMeshError(error, 'invalid_config') && error.message.includes('ENOENT')
      )
      await writeFile(join(dir, 'big.yaml'), ' '.repeat(1024 * 1024 + 1))
      await assert.rejects(loadSettings({ config: join(dir, 'big.yaml') }, { env: {} }), (error) =>
        isMeshError(error, 'invalid_config')
      )
    })
  })
})
