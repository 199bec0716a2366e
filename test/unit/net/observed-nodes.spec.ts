import assert from 'node:assert/strict'
import { decodeTriggerOpen, encodeCopy, type EventCopy } from '../../../protocols/trigger/messages.ts'
import { MeshError } from '../../../src/errors.ts'
import {
  MAX_ASKING,
  MAX_OBSERVED_NODES,
  createObservedNodes,
  type ObservedNodes,
  type ObservedState,
  type ObservedNodesComponents
} from '../../../src/net/observed-nodes.ts'
import type { Session } from '../../../src/net/session.ts'
import { until } from '../../fixtures/libp2p-pair.ts'

/** One exchange `observe`, as its source has it. */
interface Asked {
  node: string
  patterns: readonly string[]
  items: unknown[]
  end(error?: MeshError): void
  aborted: boolean
  wake(): void
}

const COPY = { type: 'sensor/camera', event: Uint8Array.of(1), lost: 0 }

describe('nodes that are observed', () => {
  let asked: Asked[]
  let copies: EventCopy[]
  let refused: string[]
  /** What the states were each time that they are said to have changed. */
  let told: string[]
  let connect: ObservedNodesComponents['connect']
  let nodes: ObservedNodes
  let bad: MeshError | undefined

  const sessionOf = (node: string): Session =>
    ({
      async *request(body: unknown, { signal }: { signal?: AbortSignal }) {
        const open = decodeTriggerOpen(body)
        assert.equal(open.kind, 'observe')
        let over: { error: MeshError | undefined } | undefined
        const one: Asked = {
          node,
          patterns: open.kind === 'observe' ? open.patterns : [],
          items: [],
          aborted: false,
          wake: () => undefined,
          end(error) {
            over = { error }
            one.wake()
          }
        }
        asked.push(one)
        signal!.addEventListener('abort', () => {
          one.aborted = true
          one.wake()
        })
        for (;;) {
          while (one.items.length > 0) yield one.items.shift()
          if (one.aborted) throw signal!.reason as MeshError
          if (over?.error !== undefined) throw over.error
          if (over !== undefined) return null
          await new Promise<void>((resolve) => (one.wake = resolve))
        }
      }
    }) as unknown as Session
  const send = (one: Asked, ...items: unknown[]): void => {
    one.items.push(...items)
    one.wake()
  }
  const begin = (one: Asked, ...ids: string[]): void => send(one, encodeCopy({ refused: ids }))
  const textOf = ({ node, state, refused: ids }: ObservedState): string => [node, state, ...ids].join(' ')
  const states = (): string[] => nodes.states().map(({ node, state }) => `${node} ${state}`)

  beforeEach(() => {
    ;[asked, copies, refused, told, bad] = [[], [], [], [], undefined]
    connect = (node) => Promise.resolve(sessionOf(node))
    nodes = createObservedNodes({
      connect: (node) => connect(node),
      onCopy(copy) {
        if (bad !== undefined) throw bad
        copies.push(copy)
      },
      onRefused: (node, ids) => refused.push(`${node} ${ids.join(' ')}`),
      onStates: () => queueMicrotask(() => told.push(nodes.states().map(textOf).join())),
      now: () => performance.now(),
      random: () => 0
    })
  })
  afterEach(() => nodes.stop())

  it('asks each with all patterns, and is open once it says so', async () => {
    nodes.want(['a/*', 'b'], ['n1', 'n2'])
    await until(() => asked.length === 2, 'both are asked')
    assert.deepEqual(asked[0]!.patterns, ['a/*', 'b'])
    begin(asked[0]!, 'cam')
    await until(() => states()[0] === 'n1 open', 'one is open')
    assert.deepEqual([states(), refused], [['n1 open', 'n2 asking'], ['n1 cam']])
    send(asked[0]!, encodeCopy(COPY))
    await until(() => copies.length === 1, 'a copy')
  })

  it('other patterns go over another exchange, and the first one stays until that is open', async () => {
    nodes.want(['a'], ['n1'])
    await until(() => asked.length === 1, 'it is asked')
    begin(asked[0]!)
    await until(() => states()[0] === 'n1 open', 'it is open')
    nodes.want(['a', 'b'], ['n1'])
    await until(() => asked.length === 2, 'it is asked again')
    send(asked[0]!, encodeCopy(COPY))
    await until(() => copies.length === 1, 'the first one goes on')
    assert.equal(asked[0]!.aborted, false)
    begin(asked[1]!)
    await until(() => asked[0]!.aborted, 'the first one is ended')
    send(asked[1]!, encodeCopy(COPY))
    await until(() => copies.length === 2, 'the second one goes on')
    assert.deepEqual([states(), asked.length], [['n1 open'], 2])
    // The same again is nothing new.
    nodes.want(['a', 'b'], ['n1'])
    nodes.want([], ['n1'])
    await until(() => asked[1]!.aborted, 'nobody observes it any more')
    assert.deepEqual([states(), asked.length], [[], 2])
  })

  it('one that ends is asked again, and at once when it is back', async () => {
    nodes.want(['a'], ['n1'])
    await until(() => asked.length === 1, 'it is asked')
    begin(asked[0]!)
    await until(() => states()[0] === 'n1 open', 'it is open')
    asked[0]!.end()
    await until(() => asked.length === 2, 'it is asked again')
    asked[1]!.end(new MeshError('unsupported', 'no such thing'))
    await until(() => states()[0] === 'n1 asking', 'it is not open')
    // Otherwise it would be asked in half a minute.
    await new Promise((resolve) => setImmediate(resolve))
    nodes.back('n1')
    await until(() => asked.length === 3, 'it is asked at once')
    nodes.back('n2')
  })

  it('whatever changes in the states is told, and nothing else', async () => {
    const changes = (): string[] => told.filter((one, at) => one !== told[at - 1])
    nodes.want(['a'], ['n1'])
    await until(() => asked.length === 1, 'it is asked')
    begin(asked[0]!)
    await until(() => states()[0] === 'n1 open', 'it is open')
    send(asked[0]!, encodeCopy(COPY))
    await until(() => copies.length === 1, 'a copy')
    const before = told.length
    nodes.want(['a'], ['n1'])
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(told.length, before)
    asked[0]!.end(new MeshError('cancelled', 'this node has fewer rights here than before'))
    await until(() => asked.length === 2, 'it is asked again')
    begin(asked[1]!, 'cam')
    await until(() => refused.length === 1, 'it lets this node see less')
    nodes.want(['a'], [])
    await until(() => told.at(-1) === '', 'it is gone')
    assert.deepEqual(changes(), ['n1 asking', 'n1 open', 'n1 asking', 'n1 open cam', ''])
  })

  for (const [what, items] of [
    ['a copy before the first item', [encodeCopy(COPY)]],
    ['two first items', [encodeCopy({ refused: [] }), encodeCopy({ refused: [] })]],
    ['an item that is none', [{ t: 1, e: 2 }]],
    ['a copy that it cannot have made', [encodeCopy({ refused: [] }), encodeCopy(COPY)]]
  ] as const) {
    it(`${what} ends the exchange, and it is left alone for long`, async () => {
      bad = new MeshError('protocol_error', 'not yours')
      nodes.want(['a'], ['n1'])
      await until(() => asked.length === 1, 'it is asked')
      send(asked[0]!, ...items)
      await until(() => states()[0] === 'n1 asking' && asked[0]!.items.length === 0, 'it is over')
      await new Promise((resolve) => setTimeout(resolve, 350))
      assert.deepEqual([asked.length, copies], [1, []])
    })
  }

  it('asks few at the same time, and no more than it can observe', async () => {
    nodes.want(
      ['a'],
      Array.from({ length: MAX_OBSERVED_NODES + 1 }, (_, n) => `n${n}`)
    )
    await until(() => asked.length === MAX_ASKING, 'the first ones')
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(asked.length, MAX_ASKING)
    for (let n = 0; n < MAX_OBSERVED_NODES; n++) {
      await until(() => asked.length > n, 'the next one')
      begin(asked[n]!)
    }
    await until(() => nodes.states().every(({ state }) => state === 'open'), 'all are open')
    assert.deepEqual([asked.length, nodes.states().length], [MAX_OBSERVED_NODES, MAX_OBSERVED_NODES])
  })
})
