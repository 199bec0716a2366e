import assert from 'node:assert/strict'
import {
  NONCE_BYTES,
  PROOF_BYTES,
  encodeMemberHello,
  encodeMemberProof,
  type SignedCertificate
} from '../../protocols/member/messages.ts'
import { MeshError, isMeshError } from '../../src/errors.ts'
import { createMember, type Member, type MemberComponents } from '../../src/net/member.ts'
import type { Session } from '../../src/net/session.ts'
import { startPair, within, type Pair } from '../fixtures/libp2p-pair.ts'
import { protocolContract } from './contract.ts'

const SECRET = new Uint8Array(32).fill(7)
const never = (): { signal: AbortSignal } => ({ signal: new AbortController().signal })
const hello = encodeMemberHello({ nonce: new Uint8Array(NONCE_BYTES) })
const ID = '12D3KooWJ6fyt5HxZdsx7mpkmR5tSTMswCC5vbwWVoUsPCzAhrjR'

protocolContract('member', () => {
  const { protocol } = createMember({ self: ID, secret: SECRET, chain: () => [], check: async () => undefined }, () => undefined)
  return {
    protocol,
    async good(session) {
      const exchange = session.request(hello, never())
      const { value } = await exchange.next()
      assert.equal((value as { p: Uint8Array }).p.length, PROOF_BYTES)
      await exchange.return(undefined)
    },
    request: hello,
    unknown: { op: 'what' }
  }
})

describe('member protocol', function () {
  this.timeout(30_000)
  let pair: Pair
  let admitted: string[]
  let open: Session[]
  before(async () => (pair = await startPair()))
  after(async () => pair.stop())
  beforeEach(() => {
    admitted = []
    open = []
  })
  afterEach(async () => {
    for (const session of open) session.abort(new MeshError('cancelled', 'over'))
    await Promise.all(open.map(({ closed }) => closed))
  })

  const a = (): string => pair.a.peerId.toString()
  const b = (): string => pair.b.peerId.toString()
  const member = (self: string, change: Partial<MemberComponents> = {}): Member =>
    createMember({ self, secret: SECRET, chain: () => [], check: async () => undefined, ...change }, (peer) =>
      admitted.push(peer)
    )
  async function session(answers: Member): Promise<Session> {
    const both = await pair.sessions({ b: (exchange) => answers.protocol.handle(exchange, a()) })
    open.push(...both)
    return both[0]
  }
  const isStranger = (error: unknown): boolean => isMeshError(error, 'permission_denied') && error.details['reason'] === undefined

  it('lets each side check the other, and the answering side first', async () => {
    const checked: string[] = []
    const check = (by: string) => async (_chain: readonly SignedCertificate[], peer: string) =>
      void checked.push(`${by} ${peer === a() ? 'a' : 'b'}`)
    await member(a(), { check: check('a') }).prove(await session(member(b(), { check: check('b') })), b())
    assert.deepEqual([checked, admitted], [['b a', 'a b'], [a()]])
  })

  it('shows its certificates to nobody who does not know the secret', async () => {
    let shown = 0
    const chain = (): SignedCertificate[] => (shown++, [])
    const other = new Uint8Array(32).fill(8)
    for (const [asks, answers] of [
      [other, SECRET],
      [SECRET, other]
    ])
      await assert.rejects(
        member(a(), { secret: asks!, chain }).prove(await session(member(b(), { secret: answers!, chain })), b()),
        isStranger
      )
    assert.deepEqual([shown, admitted], [0, []])
  })

  it('takes no proof that was made for another connection', async () => {
    // The same secret, but one side is not who the connection says: as when a stranger passes on what two members say.
    await assert.rejects(member(ID).prove(await session(member(b())), b()), isStranger)
    await assert.rejects(member(a()).prove(await session(member(ID)), b()), isStranger)
    assert.deepEqual(admitted, [])
  })

  it('does not take its own proof, or one of before, for that of the other side', async () => {
    let echo!: (proof: Uint8Array) => void
    const echoed = new Promise<Uint8Array>((resolve) => (echo = resolve))
    const exchange = (await session(member(b()))).request(hello, {
      ...never(),
      input: (async function* () {
        yield encodeMemberProof({ proof: await echoed, chain: [] })
      })()
    })
    echo(((await exchange.next()).value as { p: Uint8Array }).p)
    await assert.rejects(within(exchange.next(), 'an answer'), isStranger)
    assert.deepEqual(admitted, [])
  })

  it('tells a member why its certificate is refused', async () => {
    const check = async (): Promise<void> => {
      throw new MeshError('permission_denied', 'it has expired', { reason: 'expired' })
    }
    await assert.rejects(
      member(a()).prove(await session(member(b(), { check })), b()),
      (error) => isMeshError(error, 'permission_denied') && error.details['reason'] === 'expired'
    )
    await assert.rejects(member(a(), { check }).prove(await session(member(b())), b()), /it has expired/)
  })
})
