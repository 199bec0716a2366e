import assert from 'node:assert/strict'
import { decodeInfo, encodeInfo } from '../../protocols/announce/messages.ts'
import { encodeCbor } from '../../protocols/cbor.ts'
import {
  MAX_MODEL_NAME,
  encodeEmbeddingItem,
  encodeEmbeddingRequest,
  type EmbeddingItem,
  type EmbeddingRequest
} from '../../protocols/embedding/messages.ts'
import { MeshError, isMeshError } from '../../src/errors.ts'
import { askVectors, createEmbeddingProtocol, type GiveVectors } from '../../src/net/embedding.ts'
import type { Session } from '../../src/net/session.ts'
import { startPair, until, type Pair } from '../fixtures/libp2p-pair.ts'
import { protocolContract } from './contract.ts'

const digest = (n: number): Uint8Array => new Uint8Array(32).fill(n)
const request: EmbeddingRequest = { model: 'wise', digests: [digest(0), digest(1), digest(2)] }
const values = Int8Array.of(127, -3, 0)

protocolContract('embedding', () => ({
  protocol: createEmbeddingProtocol(async function* ({ digests }) {
    for (const index of digests.keys()) yield { index, values }
    return Promise.resolve('wise')
  }),
  async good(session) {
    const got: number[] = []
    for await (const { index } of askVectors(session, request, { width: 3, signal: AbortSignal.timeout(5_000) })) got.push(index)
    assert.deepEqual(got, [0, 1, 2])
  },
  request: encodeEmbeddingRequest(request),
  unknown: { o: 'list' }
}))

describe('the model in the info of a node', () => {
  const facts = { name: 'attic', version: '1', addresses: [] }
  it('is read if it is a name, and else counts as left out: a later version may have others', () => {
    for (const embeddings of ['m', 'm'.repeat(MAX_MODEL_NAME)])
      assert.equal(decodeInfo(encodeInfo({ ...facts, embeddings })).embeddings, embeddings)
    for (const embeddings of ['', 'm'.repeat(MAX_MODEL_NAME + 1), 7, ['m'], { m: 1 }])
      assert.deepEqual(decodeInfo(encodeCbor({ ...facts, embeddings })), facts)
  })
})

describe('embedding protocol', function () {
  this.timeout(30_000)
  let pair: Pair
  let open: Session[]
  before(async () => (pair = await startPair()))
  after(async () => pair.stop())
  beforeEach(() => (open = []))
  afterEach(() => {
    for (const session of open) session.abort(new MeshError('cancelled', 'over'))
  })
  type Handler = (body: unknown, signal: AbortSignal) => AsyncGenerator<unknown, unknown, void>
  async function sessionWith(handler: Handler): Promise<Session> {
    const both = await pair.sessions({ b: ({ body, signal }) => handler(body, signal) })
    open.push(...both)
    return both[0]
  }
  async function giving(give: GiveVectors): Promise<Session> {
    const protocol = createEmbeddingProtocol(give)
    const both = await pair.sessions({ b: (exchange) => protocol.handle(exchange, 'a') })
    open.push(...both)
    return both[0]
  }
  async function ask(session: Session): Promise<{ got: EmbeddingItem[]; model: string | undefined }> {
    const vectors = askVectors(session, request, { width: 3, signal: AbortSignal.timeout(10_000) })
    const got: EmbeddingItem[] = []
    for (;;) {
      const step = await vectors.next()
      if (step.done === true) return { got, model: step.value }
      got.push(step.value)
    }
  }
  const refusal = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => assert.fail('it was taken'),
      (error: unknown) => (isMeshError(error) ? error.code : error)
    )

  it('gives vectors as they were made, by their place, and the model that there is', async () => {
    const session = await giving(async function* (asked) {
      assert.deepEqual(asked, request)
      yield { index: 2, values }
      yield { index: 0, values: Int8Array.of(-127, 1, 2) }
      return Promise.resolve('wise')
    })
    const { got, model } = await ask(session)
    assert.equal(model, 'wise')
    assert.deepEqual(got, [
      { index: 2, values },
      { index: 0, values: Int8Array.of(-127, 1, 2) }
    ])
    const none = await giving(async function* () {
      return Promise.resolve(undefined)
    })
    assert.deepEqual(await ask(none), { got: [], model: undefined })
  })

  it('gives to a node once at a time, and stops when that goes', async () => {
    let running = 0
    const session = await giving(async function* (_, signal) {
      running++
      try {
        yield { index: 0, values }
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      } finally {
        running--
      }
      return 'wise'
    })
    const first = askVectors(session, request, { width: 3, signal: new AbortController().signal })
    await first.next()
    assert.equal(await refusal(ask(session)), 'busy')
    await first.return(undefined)
    await until(() => running === 0, 'the end of it')
    const again = askVectors(session, request, { width: 3, signal: new AbortController().signal })
    assert.equal((await again.next()).done, false)
    await again.return(undefined)
  })

  it('is not waited for longer than said, for one vector or for all, and what came before counts', async () => {
    const silent = await sessionWith(async function* (_, signal) {
      yield encodeEmbeddingItem({ index: 1, values })
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      return {}
    })
    const { signal } = new AbortController()
    const vectors = askVectors(silent, request, { width: 3, signal, times: { idleMs: 50, timeoutMs: 60_000 } })
    assert.deepEqual((await vectors.next()).value, { index: 1, values })
    assert.equal(await refusal(vectors.next()), 'deadline_exceeded')

    let next = (): void => undefined
    const slow = await sessionWith(async function* () {
      for (const index of [0, 1, 2]) {
        yield encodeEmbeddingItem({ index, values })
        await new Promise<void>((resolve) => (next = resolve))
      }
      return {}
    })
    const trickle = askVectors(slow, request, { width: 3, signal, times: { idleMs: 60_000, timeoutMs: 200 } })
    assert.equal((await trickle.next()).done, false)
    next()
    assert.equal((await trickle.next()).done, false)
    assert.equal(await refusal(trickle.next()), 'deadline_exceeded')
  })

  it('takes no vector twice, of what was not asked for, of another length, or of a wrong form', async () => {
    const answers: unknown[][] = [
      [encodeEmbeddingItem({ index: 1, values }), encodeEmbeddingItem({ index: 1, values })],
      [encodeEmbeddingItem({ index: 3, values })],
      [encodeEmbeddingItem({ index: 0, values }), encodeEmbeddingItem({ index: 1, values: Int8Array.of(1) })],
      [{ n: 0, v: [1, 2, 3] }],
      ['vectors']
    ]
    for (const answer of answers) {
      const session = await sessionWith(async function* () {
        yield* answer
        return Promise.resolve({ m: 'wise' })
      })
      assert.equal(await refusal(ask(session)), 'protocol_error')
    }
    const lying = await sessionWith(async function* () {
      return Promise.resolve({ m: '' })
    })
    assert.equal(await refusal(ask(lying)), 'protocol_error')
  })
})
