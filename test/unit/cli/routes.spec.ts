import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import picocolors from 'picocolors'
import type { NodeClient } from '../../../src/cli/client.ts'
import { readPeerNames, withNames } from '../../../src/cli/peer-names.ts'
import { showPeers } from '../../../src/cli/peers.ts'
import { showExplanation } from '../../../src/cli/route.ts'
import { showRoutes } from '../../../src/cli/routes.ts'
import { showEvent } from '../../../src/cli/show-event.ts'
import { createNaming, showWay } from '../../../src/cli/show-way.ts'
import { showHop } from '../../../src/cli/trace.ts'
import { ensureApiToken, openDataDir, writeNodeFile } from '../../../src/data-dir.ts'
import { MeshError, type ErrorCode } from '../../../src/errors.ts'
import { serveApi } from '../../../src/http/serve.ts'
import type { ExplainedCandidate, PeerView, RouteView, RoutesView, Understanding } from '../../../src/mesh-api.ts'
import { startAtmo, startChild, type Child } from '../../fixtures/child.ts'
import { createFakeMesh } from '../../fixtures/fake-mesh.ts'

type Line = Record<string, unknown> & { error?: { code: string; message: string } }

const plainColors = picocolors.createColors(false)
const HOSTILE = 'kit\u001b[2Jchen\u202e'

describe('cli routes, route, trace', function () {
  this.timeout(60_000)
  let dir: string
  let node: Child
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'atmo-routes-'))
    node = startChild('test/fixtures/fake-node.ts', [dir, '--json'])
    await node.line()
  })
  after(async () => {
    node.process.kill('SIGKILL')
    await node.ended
    await rm(dir, { recursive: true, force: true })
  })
  const start = (args: string[], env: Record<string, string> = {}) =>
    startAtmo([...args, '--data-dir', dir], { env: { FORCE_COLOR: undefined, NO_COLOR: undefined, ...env } })
  const atmo = async (args: string[], env?: Record<string, string>) => {
    const { code, stdout, stderr } = await start(args, env).ended
    const lines = args.includes('--json')
      ? stdout
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line) as Line)
      : []
    return { code, stdout, stderr, lines }
  }

  it('route and ask take words, and name what may be meant', async () => {
    // What does not fit into an address by far.
    const text = '不'.repeat(20_000)
    const [meant, unclear, nothing, asked, unasked, nobody, long] = await Promise.all([
      atmo(['route', 'ring it please']),
      atmo(['route', 'perhaps that']),
      atmo(['route', 'nothing like it']),
      atmo(['ask', 'perhaps that']),
      atmo(['ask', 'ring it please', '--json']),
      atmo(['ask', 'nothing like it']),
      atmo(['ask', text])
    ])
    assert.match(meant.stdout, /^"ring it please" means \S+, 90 % sure: \S+ \S+ → /)
    assert.deepEqual([meant.code, unclear.code, nothing.code, asked.code, unasked.code, nobody.code], [0, 1, 1, 1, 1, 1])
    assert.match(unclear.stderr, /"perhaps that" may mean demo or other; name one of them/)
    assert.match(
      nothing.stderr,
      /^error: no capability is meant by "nothing like it"\. Say it in other words, .* or name one of them\n$/
    )
    assert.match(asked.stderr, /this may be meant for demo or other/)
    // The one that is meant was called: of the stand-in that is no agent.
    assert.match(unasked.stdout + unasked.stderr, /demo has no tool ask/)
    assert.match(nobody.stderr, /there is no agent in the mesh that this is meant for/)
    assert.match(long.stderr, /there is no agent in the mesh that this is meant for/)
  })

  it('routes shows nodes and the gradient table, and says what its words mean', async () => {
    const [people, json, color, none] = await Promise.all([
      atmo(['routes']),
      atmo(['routes', '--json']),
      atmo(['routes'], { FORCE_COLOR: '1' }),
      atmo(['routes'], { FORCE_COLOR: '1', NO_COLOR: '1' })
    ])
    assert.equal(people.code, 0)
    assert.match(
      people.stdout,
      /^Ways to 4 other nodes: 1 direct, 2 over others, 1 without a way\nNODE +PEER +COST +WAY\nattic +\S+ +180 ms +2 hops via kitchen, held\ncellar +\S+ +- +no way known\nkitchen +\S+ +1\.3 ms +direct\n/
    )
    assert.match(
      people.stdout,
      /\nNearest providers of each type\n {2}PROVIDER +CAPABILITY +COST +HEARD +WAY\ntest\/demo\n {2}kitchen +demo +1\.3 ms +now +direct\n {2}pi-garden +demo +14 ms +42 s +3 hops via kitchen\n/
    )
    assert.match(people.stderr, /^held: the way got worse.*\nno way known: not connected.*\n$/)
    assert.ok(!people.stdout.includes('\u001b') && color.stdout.includes('\u001b[') && !none.stdout.includes('\u001b'))
    const [view] = json.lines
    assert.deepEqual([json.code, json.stderr, json.lines.length, Object.keys(view!)], [0, '', 1, ['nodes', 'types']])
    assert.equal((view!['nodes'] as RouteView[])[0]?.viaName, 'kitchen')
  })

  it('route says in one line who would be called, with --explain why', async () => {
    const [line, explained, other, json] = await Promise.all([
      atmo(['route', 'demo']),
      atmo(['route', 'demo', '--tool', 'items', '--explain']),
      atmo(['route', 'test/demo', '--not-node', 'kitchen', '--not-node', 'attic', '--prefer', 'fast']),
      atmo(['route', 'demo', '--json', '--node', 'pi-garden', '--max-latency', '500'])
    ])
    assert.deepEqual([line.code, line.stdout], [0, 'demo echo → kitchen …eKitchen, direct, done in about 42 ms\n'])
    assert.equal(other.stdout, 'demo echo → pi-garden …PiGarden, 3 hops via kitchen, done in about 119 ms\n')
    assert.equal(explained.code, 0)
    assert.match(
      explained.stdout,
      /^demo items → kitchen .*\n\n +NODE +ETA +SCORE +RTT +WORK +LOAD +HEARD\n1 +kitchen +42 ms +42 ms +1\.3 ms +41 ms +1\.4\/4 +420 ms\n +direct, 1 of our calls there: expected to be done in 41\.8 ms\n2 +pi-garden .* never\n +3 hops via kitchen: /
    )
    assert.match(explained.stdout, /\n- {2}cellar .*\n {3}no way known: no way to it is known now\n$/)
    const [explanation] = json.lines
    const candidates = explanation!['candidates'] as ExplainedCandidate[]
    assert.deepEqual([json.code, json.lines.length, explanation!['tool'], candidates.length], [0, 1, 'echo', 4])
    assert.deepEqual([candidates[0]?.nodeName, candidates[0]?.place, candidates[1]?.place], ['pi-garden', 1, null])
  })
  it('route fails if nobody would be called, and as a call would', async () => {
    const [line, explained, json, unknown, tool] = await Promise.all([
      atmo(['route', 'demo', '--max-latency', '5']),
      atmo(['route', 'demo', '--max-latency', '5', '--explain']),
      atmo(['route', 'demo', '--max-latency', '5', '--json']),
      atmo(['route', 'nothing', '--json']),
      atmo(['route', 'demo', '--tool', 'dance'])
    ])
    assert.deepEqual([line.code, line.stdout], [1, ''])
    assert.match(
      line.stderr,
      /^error: nobody would be called for demo echo \(kitchen: expected .*; pi-garden: .*; attic: .*; 1 more\)\nAll .*--explain\n$/
    )
    assert.deepEqual([explained.code, explained.stderr], [1, ''])
    assert.match(explained.stdout, /^demo echo → nobody\n\n[^]*\n- {2}kitchen /)
    assert.deepEqual([json.code, json.lines.length, json.lines[0]?.['target']], [1, 1, 'demo'])
    assert.deepEqual([unknown.code, unknown.lines[0]?.error?.code], [1, 'unknown_capability'])
    assert.deepEqual([tool.code, tool.stdout, tool.stderr], [1, '', 'error: "demo" has no tool "dance"\n'])
  })

  it('trace prints each hop as it answers', async () => {
    const [people, json] = await Promise.all([atmo(['trace', 'pi-garden']), atmo(['trace', 'pi-garden', '--json'])])
    assert.deepEqual([people.code, people.stderr], [0, 'the way to pi-garden (Ctrl-C ends)\n'])
    assert.match(
      people.stdout,
      /^ 1 {2}kitchen +…eKitchen {2}1\.3 ms\n 2 {2}attic +\S+ {2}9\.5 ms\n 3 {2}pi-garden +\S+ {2}14 ms\n$/
    )
    assert.deepEqual([json.code, json.stderr, json.lines.length], [0, '', 3])
    assert.deepEqual(json.lines[0], { hop: 1, node: '12D3KooWFakeKitchen', nodeName: 'kitchen', rttMs: 1.31 })
  })
  it('trace fails after the hops that answered if the way ends early', async () => {
    const [people, json, unknown] = await Promise.all([
      atmo(['trace', 'attic']),
      atmo(['trace', 'attic', '--json']),
      atmo(['trace', 'nobody', '--json'])
    ])
    assert.equal(people.code, 1)
    assert.match(people.stdout, /^ 1 {2}kitchen [^\n]*\n$/)
    assert.match(people.stderr, /\nerror: the way to attic ended before it\n$/)
    assert.deepEqual([json.code, json.lines.map(({ hop, error }) => hop ?? error?.code)], [1, [1, 'unavailable']])
    assert.deepEqual([unknown.code, unknown.lines.length, unknown.lines[0]?.error?.code], [1, 1, 'unknown_capability'])
  })
  it('trace of a name that nobody has is an error and nothing else: there is no way to tell of', async () => {
    const { code, stdout, stderr } = await atmo(['trace', 'nobody'])
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /^error: [^\n]*nobody[^\n]*\n$/)
  })
  it('trace says where it goes before anybody has answered', async () => {
    const [held, mesh] = [await openDataDir(join(dir, 'silent')), createFakeMesh()]
    mesh.trace = async function* (_target, { signal } = {}) {
      await new Promise((resolve) => signal?.addEventListener('abort', resolve, { once: true }))
    }
    const server = await serveApi({ mesh, token: await ensureApiToken(held.path) })
    const startedAt = new Date().toISOString()
    await writeNodeFile(held.path, { pid: process.pid, api: server.url, peerId: mesh.peerId, startedAt })
    const child = startAtmo(['trace', 'far', '--data-dir', held.path])
    await once(child.process.stderr, 'data')
    child.process.kill('SIGINT')
    const { code, stdout, stderr } = await child.ended
    assert.deepEqual([code, stdout], [1, ''])
    assert.equal(stderr, 'the way to far (Ctrl-C ends)\nerror: the operation was cancelled\n')
    await server.close()
    await held.release()
  })
  it('an empty target is wrong usage', async () => {
    for (const command of ['route', 'trace']) {
      const { code, stderr } = await atmo([command, ' '])
      assert.deepEqual([code, /name a (node|capability)/.test(stderr)], [2, true], stderr)
    }
  })
  it('Ctrl-C ends a trace, and the questions with it', async () => {
    const seen = new Promise<void>((resolve) =>
      node.process.stderr.on('data', (text: string) => text.includes('signal') && resolve())
    )
    const [people, json] = [start(['trace', 'kitchen']), start(['trace', 'kitchen', '--json'])]
    for (const child of [people, json]) {
      await child.line()
      child.process.kill('SIGINT')
    }
    const [shown, told] = await Promise.all([people.ended, json.ended])
    assert.deepEqual([shown.code, told.code, told.stderr], [1, 1, ''])
    assert.match(shown.stderr, /^the way to kitchen .*\nerror: the operation was cancelled\n$/)
    assert.equal((JSON.parse(told.stdout.trimEnd().split('\n').at(-1)!) as Line).error?.code, 'cancelled')
    await seen
  })

  it('watch tells of a way that changes', async () => {
    const child = start(['watch', 'route'])
    const event = '{"at":1,"event":"route","node":"n","nodeName":"attic","via":"v","hops":2,"metricMs":7,"before":null}\n'
    const timer = setInterval(() => node.process.stdin.write(event), 20)
    assert.match(await child.line(), / \+ way to attic 2 hops via v, 7 ms$/)
    clearInterval(timer)
    child.process.kill('SIGINT')
    assert.equal((await child.ended).code, 0)
  })

  describe('what is printed', () => {
    const K = '12D3KooWNeighbour'
    const route = (nodeName: string, change: Partial<RouteView>): RouteView => ({
      ...{ node: `12D3KooW${nodeName}12345678`, nodeName, direct: false, via: K, viaName: null, hops: 3, metricMs: 14 },
      ...{ held: false, avoided: false, sequence: null },
      ...change
    })
    const direct = (nodeName: string, node: string) => route(nodeName, { node, direct: true, via: null, hops: 1 })
    const providers = (...all: RouteView[]): RoutesView['types'][number]['providers'] =>
      all.map(({ node, nodeName, direct, via, hops, metricMs, avoided }) => ({
        ...{ node, nodeName, direct, via, hops, metricMs, avoided },
        ...{ capability: 'lamp', status: 'online', local: false, ageMs: 9_000 }
      }))

    it('one line where all are direct, and where nothing is offered', () => {
      const one = direct('kitchen', K)
      const two = [one, direct('attic', 'a')]
      assert.equal(
        showRoutes({ nodes: [one], types: [] }, plainColors),
        'The other node is direct: nobody is between.\n\nNothing is offered yet.\n'
      )
      assert.match(
        showRoutes({ nodes: two, types: [{ type: 'light/lamp', providers: providers(one) }] }, plainColors),
        /^All 2 other nodes are direct: nobody is between\.\n\nNearest providers of each type\n.*\nlight\/lamp\n {2}kitchen +lamp +14 ms +9 s +direct\n$/
      )
    })
    it('a way that is used only if there is no other says so', () => {
      const nodes = [route('attic', { avoided: true, metricMs: 10_014 })]
      const types = [{ type: 'light/lamp', providers: providers(...nodes) }]
      assert.match(
        showRoutes({ nodes, types }, plainColors),
        /attic +\S+ +10 s +3 hops via …eighbour, avoided\n[^]*attic +lamp +10 s +9 s +3 hops via …eighbour, avoided\n/
      )
    })
    it('its own capabilities are here, others say their status', () => {
      const [own, busy] = providers(route('laptop', { hops: 0, metricMs: 0, via: null }), route('attic', {}))
      const types = [
        {
          type: 't',
          providers: [
            { ...own!, local: true, ageMs: 0 },
            { ...busy!, status: 'busy' }
          ]
        }
      ]
      assert.match(
        showRoutes({ nodes: [route('attic', {})], types }, plainColors),
        /laptop +lamp +0 ms +now +here\n {2}attic +lamp +14 ms +9 s +3 hops via …eighbour, busy\n$/
      )
    })
    it('a terminal of 80 columns holds it', () => {
      const nodes = [direct('pi-kitchen', K), route('pi-greenhouse-north', {}), route('cellar', { via: null, hops: null })]
      const types = [{ type: `sensor/${'x'.repeat(60)}`, providers: providers(...nodes) }]
      const shown = showRoutes({ nodes, types }, plainColors, 80)
      for (const line of shown.split('\n')) assert.ok([...line].length <= 80, line)
      assert.match(shown, /pi-greenhouse-north +…12345678 +14 ms +3 hops via pi-kitchen\n/)
    })
    it('peers of a narrow terminal fit, without how they were found', () => {
      const peer = (name: string, change: Partial<PeerView>): PeerView => ({
        ...{ peerId: `12D3KooW${name}12345678`, name, version: '0.1.0', rttMs: 58.4, direct: false, hops: 2, via: K },
        ...{
          role: null,
          transports: [],
          ageMs: 0,
          source: 'remembered',
          addresses: [],
          capabilities: ['system', 'lamp', 'door'],
          ...change
        }
      })
      const peers = [peer('pi-kitchen', { peerId: K, direct: true, hops: 1, via: null }), peer('pi-garden', {})]
      const widths = [...Array.from({ length: 50 }, (_, n) => 50 + n), 200]
      for (const width of widths)
        for (const line of showPeers(peers, plainColors, width).split('\n'))
          assert.ok([...line].length <= width, `${width}: ${line}`)
      assert.match(
        showPeers(peers, plainColors, 60),
        /^NAME +PEER +RTT +ROUTE +CAPABILITIES\npi-kitchen +…eighbour +58 ms +direct +system, lam…\npi-garden +…12345678 +58 ms +2 hops via pi-k… +system, lam…\n$/
      )
      assert.match(showPeers(peers, plainColors, 200), /FOUND BY[^]*remembered +system, lamp, door\n/)
    })
    it('errors and events say names where they have PeerIds', async () => {
      const [far, near] = [`12D3KooW${'a'.repeat(44)}`, `12D3KooW${'b'.repeat(44)}`]
      const answers: Record<string, unknown> = {
        '/mesh/status': { peerId: 'self', name: 'desk' },
        '/mesh/nodes': { nodes: [{ peerId: far, name: 'cellar' }] }
      }
      const client = { get: async (path: string) => answers[path] } as unknown as Pick<NodeClient, 'get'>
      const told = async (code: ErrorCode, message: string): Promise<string> =>
        ((await withNames(client, new MeshError(code, message))) as MeshError).message
      assert.equal(await told('unavailable', `the way to ${far} ended before it`), 'the way to cellar ended before it')
      assert.equal(
        await told('unavailable', `no circuit to ${far} over ${near}: gone`),
        'no circuit to cellar over …bbbbbbbb: gone'
      )
      const address = `nobody at /ip4/192.0.2.7/tcp/4001/p2p/${far}`
      assert.equal(await told('unavailable', address), address, 'this is to be tried by hand')
      const ambiguous = `use a PeerId: ${far}, ${near}`
      assert.equal(await told('ambiguous', ambiguous), ambiguous, 'these are to be typed')
      const names = await readPeerNames(client)
      assert.deepEqual([names.nameOf('self'), names.handlerOf(`guard@${far}`)], ['desk', 'guard@cellar'])
      const route = { at: 1, event: 'route', node: 'n', nodeName: 'attic', via: near, hops: 2, metricMs: 7, before: far } as const
      const show = () => showEvent(route, plainColors, names.nameOf).slice(9)
      assert.equal(show(), '~ way to attic 2 hops via …bbbbbbbb, 7 ms, was via cellar\n')
      names.learn({ at: 1, event: 'peer:join', peerId: near, name: 'hall' })
      assert.equal(show(), '~ way to attic 2 hops via hall, 7 ms, was via cellar\n')
    })
    it('two nodes of one name are told apart, one without a name by its peer id', () => {
      const nameOf = createNaming([
        { node: '12D3KooWaaaaaaa1', name: 'pi' },
        { node: '12D3KooWaaaaaaa2', name: 'p\u200bi' },
        { node: '12D3KooWaaaaaaa3', name: '12D3KooWaaaaaaa3' }
      ])
      assert.deepEqual(
        [1, 2, 3, 4].map((n) => nameOf(`12D3KooWaaaaaaa${n}`)),
        ['pi …aaaaaaa1', 'pi …aaaaaaa2', '…aaaaaaa3', '…aaaaaaa4']
      )
      assert.equal(showWay({ direct: false, hops: 1, via: '12D3KooWaaaaaaa4' }, nameOf), '1 hop via …aaaaaaa4')
      assert.equal(showWay({ direct: false, hops: null, via: 'v' }, nameOf), 'over others via v')
    })
    it('an explanation names ids where there are several, and wraps its words', () => {
      const candidate = (nodeName: string, place: number | null): ExplainedCandidate => {
        const [row] = providers(route(nodeName, {}))
        const times = { rttMs: 14, waitMs: 0, serviceMs: 105, etaMs: 119, costMs: 1_181, score: 1_300 }
        const load = { running: 3.4567, outstanding: 0, slots: 4, tool: 'on' }
        const reason = 'would be tried if those before it fail, or have not answered for some time'
        return {
          ...row!,
          ...times,
          ...load,
          status: 'degraded',
          capability: `lamp-${nodeName}`,
          place,
          why: 'reserve',
          reason,
          heardMs: 0
        }
      }
      const candidates = [candidate('attic', 1), candidate('cellar', 2)]
      const explanation = { target: 'light/lamp', tool: 'on', candidates }
      const by = { path: 'words', model: null, reason: 'no embeddings are set up' } as const
      const meaning: Understanding = { text: 'make it dark', characters: 12, outcome: 'one', likelihood: 0.914, by, matches: [] }
      const show = (change: object): string => showExplanation({ ...explanation, ...change }, () => 'pi', plainColors, 80)
      const shown = show({})
      assert.match(shown, /^lamp-attic on → attic …12345678, 3 hops via pi, done in about 119 ms\n\n/)
      assert.match(
        shown,
        /\n +NODE +ETA +COST +SCORE +RTT +WORK +LOAD +HEARD\n1 {2}pi +119 ms +1\.2 s +1\.3 s +14 ms +105 ms +3\.5\/4 +0 ms\n {3}lamp-attic, 3 hops via pi, degraded: would be tried if those before it fail,\n {3}or have not answered for some time\n2 {2}/
      )
      const unknown = {
        ...candidate('attic', 1),
        waitMs: null,
        serviceMs: null,
        etaMs: null,
        score: 1_014,
        costMs: 0,
        avoided: true
      }
      const waits = { ...candidate('attic', 2), waitMs: 20, etaMs: 139, score: 139, costMs: 0 }
      const guessed = show({ meaning, candidates: [unknown, waits] })
      assert.match(
        guessed,
        /^"make it dark" means lamp-attic, 91 % sure: lamp-attic on → attic …12345678, 3 hops via pi, avoided, not known yet how long it takes\nunderstood by words alone: no embeddings are set up\n\n/
      )
      const both = { path: 'both', model: 'tiny', reason: 'vectors of tiny' } as const
      assert.match(show({ meaning: { ...meaning, by: both } }), /\nunderstood by words and vectors: vectors of tiny\n\n/)
      assert.match(guessed, / +NODE +ETA +SCORE +RTT +WAIT +WORK +LOAD +HEARD\n1 {2}pi +guess +1 s +14 ms +guess +guess +3\.5/)
      assert.match(guessed, /\n {3}3 hops via pi, avoided, degraded: /)
      for (const nodeName of ['pi', 'pi-greenhouse-north']) {
        const wide = showExplanation({ ...explanation, candidates: [{ ...waits, costMs: 50 }] }, () => nodeName, plainColors, 80)
        for (const line of wide.split('\n').slice(1)) assert.ok([...line].length <= 80, line)
      }
      assert.match(show({ meaning }), /^"make it dark" means lamp-attic or lamp-cellar, 91 % sure: lamp-attic on → /)
      assert.match(show({ target: 'lamp', meaning, candidates: [{ ...unknown, place: null }] }), /^"lamp" → nobody\n/)
    })
    it('what a node calls itself cannot write on the terminal', () => {
      const nodes = [route(HOSTILE, { viaName: HOSTILE }), direct(HOSTILE, K)]
      const types = [
        { type: HOSTILE, providers: providers(...nodes).map((row) => ({ ...row, capability: HOSTILE, status: HOSTILE })) }
      ]
      const [row] = types[0]!.providers
      const numbers = { rttMs: 1, waitMs: 1, serviceMs: 1, etaMs: 1, costMs: 1, score: 1, running: 1, outstanding: 1 }
      const load = { slots: 1, heardMs: null, tool: HOSTILE }
      const candidate: ExplainedCandidate = { ...row!, ...numbers, ...load, place: 1, why: 'sampled', reason: HOSTILE }
      const nameOf = createNaming(nodes.map(({ node, nodeName }) => ({ node, name: nodeName })))
      const other = { ...candidate, capability: 'x', place: null }
      const change = { at: 1, event: 'route', node: 'n', nodeName: HOSTILE, via: HOSTILE, hops: 2, metricMs: null } as const
      const by = { path: 'both', model: HOSTILE, reason: HOSTILE } as const
      const meaning: Understanding = { text: HOSTILE, characters: HOSTILE.length, outcome: 'one', likelihood: 1, by, matches: [] }
      const printed = [
        showRoutes({ nodes, types }, plainColors),
        ...[meaning, undefined].flatMap((meaning) =>
          [[candidate, other], [other]].map((candidates) =>
            showExplanation({ target: HOSTILE, tool: HOSTILE, candidates, ...(meaning && { meaning }) }, nameOf, plainColors)
          )
        ),
        showHop({ hop: 1, node: HOSTILE, nodeName: HOSTILE, rttMs: 1 }, plainColors),
        showHop({ hop: 1, node: 'n', nodeName: HOSTILE, rttMs: 1 }, plainColors),
        showEvent({ ...change, before: HOSTILE }, plainColors)
      ]
      // eslint-disable-next-line no-control-regex -- these are what must not be there
      for (const text of printed) assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u202e]/)
    })
    it('an event says whether the way is new, another one, or gone', () => {
      const show = (change: object) => {
        const event = { at: 1, event: 'route', node: 'n', nodeName: 'attic', via: 'v', hops: 2, metricMs: 7.25 } as const
        return showEvent({ ...event, before: null, ...change }, plainColors).slice(9)
      }
      assert.equal(show({}), '+ way to attic 2 hops via v, 7.3 ms\n')
      assert.equal(show({ before: 'w', hops: 3 }), '~ way to attic 3 hops via v, 7.3 ms, was via w\n')
      assert.equal(show({ before: 'v', metricMs: null }), '~ way to attic 2 hops via v\n')
      assert.equal(show({ before: 'w', via: null, hops: null, metricMs: null }), '- way to attic gone, was via w\n')
    })
  })
})
