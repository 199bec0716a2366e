import assert from 'node:assert/strict'
import type { CapabilityView, ObservedEvent } from '../../../../src/mesh-api.ts'
import {
  TRIGGER_PAGE,
  createTriggerCatalog,
  listedTrigger,
  triggerPage,
  triggerUri,
  type CatalogTrigger
} from '../../../../src/http/mcp/trigger-catalog.ts'
import { MAX_SUBSCRIBED, listenTriggers } from '../../../../src/http/mcp/trigger-resources.ts'
import {
  MAX_KEPT_CHARACTERS,
  MAX_KEPT_EVENTS,
  MAX_WATCHED,
  MAX_WATCHED_KINDS,
  createTriggerWatches,
  type TriggerWatches
} from '../../../../src/http/mcp/trigger-watches.ts'
import { createFakeMesh, type FakeMesh } from '../../../fixtures/fake-mesh.ts'

const NODE = '12D3KooWFakeKitchen'
const BELL = triggerUri({ node: NODE, capability: 'demo', event: 'bell' })

function bell(over: Partial<ObservedEvent> = {}): ObservedEvent {
  return {
    id: '1-1',
    mesh: 'mesh',
    node: NODE,
    capability: 'demo',
    capabilityType: 'test/demo',
    event: 'bell',
    type: 'test.demo.bell',
    sequence: '0'.repeat(26),
    priority: 'normal',
    intent: 'Somebody rings.',
    payload: { door: 'front' },
    depth: 0,
    coalesced: 1,
    lost: 0,
    causes: [NODE],
    ...over
  }
}

describe('http mcp: triggers as clients are shown them', () => {
  const catalogOf = (mesh: FakeMesh) => createTriggerCatalog(mesh, () => 0)

  it('each has a URI of its own, and says whose it is', () => {
    const description = 'The bell.\u200b Ring it.'
    const catalog = catalogOf(createFakeMesh({}, [], { triggers: [{ event: 'bell', description }, { event: 'Alarm_2' }] }))
    const listed = catalog.triggers().map(listedTrigger)
    assert.deepEqual(
      listed.map(({ uri }) => uri),
      [`atmosphere://trigger/demo@${NODE}/Alarm_2`, BELL]
    )
    assert.deepEqual(listed[1], {
      uri: BELL,
      name: 'demo/bell',
      title: 'bell of Demo (kitchen)',
      description: 'Events "bell" of demo at kitchen. The bell. Ring it.',
      mimeType: 'application/json',
      _meta: { 'atmosphere/capability': 'demo', 'atmosphere/node': NODE }
    })
  })

  it('those of another mesh are not shown, nor those that nobody has accepted', () => {
    assert.equal(catalogOf(createFakeMesh({}, [], { mesh: 'club' })).find(BELL), 'unknown')
    const changed = { hash: 'ab', since: '' } as unknown as CapabilityView['changed']
    const catalog = catalogOf(createFakeMesh({}, [], { changed }))
    assert.deepEqual([catalog.triggers(), catalog.find(BELL)], [[], 'refused'])
  })

  it('come in pages, which lose none when others come and go', () => {
    const all = Array.from({ length: 2 * TRIGGER_PAGE + 1 }, (_, n) => {
      const event = `e${String(n).padStart(4, '0')}`
      const capability = { id: 'demo', name: 'Demo', node: NODE, nodeName: 'kitchen' } as CapabilityView
      return {
        uri: triggerUri({ node: NODE, capability: 'demo', event }),
        capability,
        trigger: { event }
      } satisfies CatalogTrigger
    })
    const first = triggerPage(all)
    const second = triggerPage(all.slice(5), first.nextCursor)
    const third = triggerPage(all.slice(5), second.nextCursor)
    assert.deepEqual(
      [...first.resources, ...second.resources, ...third.resources].map(({ uri }) => uri),
      all.map(({ uri }) => uri)
    )
    assert.equal(third.nextCursor, undefined)
    assert.deepEqual(triggerPage(all, '\uffff'), { resources: [] })
  })
})

describe('http mcp: triggers that clients are subscribed to', () => {
  let mesh: FakeMesh
  let found: Record<string, 'refused' | 'unknown' | CatalogTrigger>
  let watches: TriggerWatches
  const offer = (uri: string, type = 'test/demo', local = false): void => {
    const [, id, node, event] = /\/([^/@]+)@([^/]+)\/([^/]+)$/.exec(uri)!
    const capability = { id, node, nodeName: 'kitchen', type, local } as CapabilityView
    found[uri] = { uri, capability, trigger: { event: event! } }
  }
  beforeEach(() => {
    mesh = createFakeMesh()
    found = {}
    offer(BELL)
    watches = createTriggerWatches({ mesh, catalog: { find: (uri) => found[uri] ?? 'unknown' }, minUpdatedMs: 1 })
  })
  afterEach(() => watches.close())

  it('are observed once for all, and no longer than somebody wants it', async () => {
    const told: string[] = []
    const [first, second] = [(uri: string) => void told.push(`1 ${uri}`), (uri: string) => void told.push(`2 ${uri}`)]
    const ends = [watches.watch(BELL, first), watches.watch(BELL, first), watches.watch(BELL, second)]
    assert.deepEqual(mesh.subscribed(), ['test/demo:bell'])
    await mesh.copy(bell())
    assert.deepEqual(told, [`1 ${BELL}`, `2 ${BELL}`])
    ends[0]!()
    ends[0]!()
    ends[2]!()
    assert.equal(watches.read(BELL).total, 1)
    ends[1]!()
    assert.deepEqual([mesh.subscribed(), watches.read(BELL)], [[], { state: 'unsubscribed', total: 0, events: [] }])
  })

  it('give what they have raised since, as CloudEvents; what others raise is theirs', async () => {
    watches.watch(BELL, () => {})
    assert.deepEqual(watches.read(BELL).events, [])
    await mesh.copy(bell())
    await mesh.copy(bell({ node: '12D3KooWOther' }))
    await mesh.copy(bell({ capability: 'twin' }))
    const { total, events } = watches.read(BELL)
    assert.equal(total, 1)
    assert.deepEqual([events[0]!['source'], events[0]!['data']], [`atm://mesh/${NODE}/demo`, { door: 'front' }])
  })

  it('keep the newest events, of a number and a size', async () => {
    watches.watch(BELL, () => {})
    for (let n = 0; n < 2 * MAX_KEPT_EVENTS; n++) await mesh.copy(bell({ id: `1-${n}` }))
    assert.deepEqual([watches.read(BELL).total, watches.read(BELL).events.length], [2 * MAX_KEPT_EVENTS, MAX_KEPT_EVENTS])
    assert.equal(watches.read(BELL).events.at(-1)!['id'], `1-${2 * MAX_KEPT_EVENTS - 1}`)
    for (const id of ['2-1', '2-2', '2-3']) await mesh.copy(bell({ id, payload: 'x'.repeat(MAX_KEPT_CHARACTERS * 0.4) }))
    assert.deepEqual(
      watches.read(BELL).events.map(({ id }) => id),
      ['2-2', '2-3']
    )
    await mesh.copy(bell({ id: '3-1', payload: 'x'.repeat(MAX_KEPT_CHARACTERS) }))
    assert.deepEqual([watches.read(BELL).events, watches.read(BELL).total], [[], 2 * MAX_KEPT_EVENTS + 4])
  })

  it('tell of many events at once, and of the last one too', async () => {
    let told = 0
    let onTold = (): void => {}
    watches.watch(BELL, () => {
      told++
      onTold()
    })
    const again = new Promise<void>((resolve) => (onTold = () => told === 2 && resolve()))
    for (let n = 0; n < 50; n++) void mesh.copy(bell())
    assert.equal(told, 1)
    await again
    assert.equal(watches.read(BELL).total, 50)
  })

  it('are waited for where they are not there, and found again as another type', async () => {
    delete found[BELL]
    watches.watch(BELL, () => {})
    assert.deepEqual([mesh.subscribed(), watches.read(BELL).state], [[], 'absent'])
    offer(BELL)
    watches.changed()
    assert.deepEqual([mesh.subscribed(), watches.read(BELL).state], [['test/demo:bell'], 'asking'])
    offer(BELL, 'test/other')
    watches.changed()
    assert.deepEqual(mesh.subscribed(), ['test/other:bell'])
    delete found[BELL]
    watches.changed()
    assert.deepEqual([mesh.subscribed(), watches.read(BELL).state], [['test/other:bell'], 'absent'])
  })

  it('bring nothing while what their capability says of itself is not accepted', async () => {
    watches.watch(BELL, () => {})
    found[BELL] = 'refused'
    watches.changed()
    await mesh.copy(bell())
    assert.deepEqual([mesh.subscribed(), watches.read(BELL)], [[], { state: 'absent', total: 0, events: [] }])
  })

  it('say whether their node lets this one observe them', () => {
    watches.watch(BELL, () => {})
    mesh.observing([{ node: NODE, state: 'open', refused: [] }])
    assert.equal(watches.read(BELL).state, 'open')
    mesh.observing([{ node: NODE, state: 'open', refused: ['demo'] }])
    assert.equal(watches.read(BELL).state, 'refused')
    mesh.observing([])
    assert.equal(watches.read(BELL).state, 'asking')
    offer(BELL, 'test/demo', true)
    watches.changed()
    assert.equal(watches.read(BELL).state, 'open')
  })

  it('are bounded, in all and by their kinds', () => {
    const uris = Array.from({ length: MAX_WATCHED }, (_, n) => triggerUri({ node: NODE, capability: `c${n}`, event: 'e' }))
    const ends = uris.map((uri) => watches.watch(uri, () => {}))
    assert.throws(() => watches.watch(BELL, () => {}), { code: 'busy' })
    for (const end of ends) end()
    for (let n = 0; n < MAX_WATCHED_KINDS; n++) {
      const uri = triggerUri({ node: NODE, capability: 'demo', event: `e${n}` })
      offer(uri)
      watches.watch(uri, () => {})
    }
    assert.throws(() => watches.watch(BELL, () => {}), { code: 'busy' })
    for (const uri of ['atmosphere://trigger/demo/bell', `${BELL}/`, 'file:///etc/passwd', ''])
      assert.throws(() => watches.watch(uri, () => {}), { code: 'invalid_argument' })
  })

  it('of a stream are those that there are and room for', () => {
    const uris = Array.from({ length: MAX_SUBSCRIBED }, (_, n) => triggerUri({ node: NODE, capability: `c${n}`, event: 'e' }))
    const body = (resourceSubscriptions: unknown, method = 'subscriptions/listen') => ({
      method,
      params: { notifications: { toolsListChanged: true, resourceSubscriptions } }
    })
    const listening = listenTriggers(body([7, 'file:///etc/passwd', BELL, BELL, ...uris]), watches, () => {})!
    assert.deepEqual(listening.body, body([BELL, ...uris.slice(0, -1)]))
    assert.deepEqual(mesh.subscribed(), ['test/demo:bell'])
    listening.end()
    assert.deepEqual(mesh.subscribed(), [])
    for (const other of [body(undefined), body({ length: 1 }), body([BELL], 'tools/list'), { method: 'subscriptions/listen' }])
      assert.equal(
        listenTriggers(other, watches, () => {}),
        undefined
      )
  })
})
