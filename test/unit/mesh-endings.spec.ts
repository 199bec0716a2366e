import assert from 'node:assert/strict'
import type { Role } from '../../protocols/member/messages.ts'
import { NO_NOTICES, type Notices } from '../../protocols/member/notices.ts'
import type { AuditEvent } from '../../src/core/audit.ts'
import { originBytes } from '../../src/core/document.ts'
import { MAX_RECALLED, STRANGER, createCheckedPeers, type CheckedPeers, type Loss } from '../../src/mesh-checked.ts'
import { createEndings, type Endings } from '../../src/mesh-endings.ts'

const MESH = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
const OTHER_MESH = '12D3KooWPdgsyTWjAuWWoRuE2pJpRKopkdcVpLVfbgcgkXdbM1kY'
/** One that is here, one that is away, one that was never seen, and who revokes. */
const [HERE, AWAY, UNSEEN, ADMIN] = [1, 2, 3, 4].map((n) => originOf(n))
function originOf(n: number): string {
  return `12D3KooW${'ABCDEFGHJK'[n]}`.padEnd(52, 'A')
}

describe('members that were checked here', () => {
  let over: Set<unknown>
  let endsInS: number
  let generation: number
  let revoked: string[]
  let checked: CheckedPeers
  const member = (role: Role, tags: string[] = [], forward = true): never =>
    ({ member: { role, tags, forward }, chain: [] }) as never
  beforeEach(() => {
    ;[over, endsInS, generation, revoked] = [new Set(), 1, 0, []]
    checked = createCheckedPeers({
      isStillMember: (chain) => !over.has(chain),
      isRevoked: (peer) => revoked.includes(peer),
      endsInS: () => endsInS,
      get generation() {
        return generation
      }
    })
  })

  it('are recalled when they are away, for what they were, until their certificates end', () => {
    checked.add('a', member('admin'))
    checked.left('a')
    assert.deepEqual([checked.standingOf('a'), checked.recall('a')?.role], [STRANGER, 'admin'])
    assert.equal(checked.recall('b'), undefined)
    endsInS = 0
    assert.equal(checked.recall('a'), undefined)
  })

  it('are recalled as they were before this start until they come, are revoked, or the key of the mesh is replaced', () => {
    const before = { role: 'admin', tags: ['kitchen'], since: 0, notAfter: 9, generation: 0 } as const
    assert.deepEqual(checked.recall('a', before), before)
    generation = 1
    assert.equal(checked.recall('a', before), undefined, 'its certificates may be of those that were not kept')
    generation = 0
    revoked.push('a')
    assert.equal(checked.recall('a', before), undefined)
    revoked.pop()
    endsInS = 0
    assert.equal(checked.recall('a', before), undefined)
    endsInS = 1
    checked.add('a', member('guest'))
    assert.equal(checked.recall('a', before)?.role, 'guest')
  })

  it('say who comes back with less: a lower role, without a tag, or without the right to pass on alone', () => {
    const steps: [Role, string[], boolean, Loss | undefined][] = [
      ['member', ['kitchen'], true, undefined],
      ['member', ['kitchen', 'garage'], true, undefined],
      ['member', ['garage'], true, 'rights'],
      ['member', ['garage'], false, 'forward'],
      ['member', ['garage'], false, undefined],
      ['admin', ['garage'], true, undefined],
      ['guest', ['garage'], false, 'rights']
    ]
    for (const [role, tags, forward, loss] of steps) {
      assert.equal(checked.add('a', member(role, tags, forward)), loss, `${role} ${tags.join()}`)
      checked.left('a')
    }
  })

  it('are forgotten when they end, and when too many came since', () => {
    const [gone, here] = [member('member'), member('member')] as { chain: unknown }[]
    gone!.chain = ['gone']
    here!.chain = ['here']
    checked.add('gone', gone as never)
    checked.left('gone')
    checked.add('here', here as never)
    over.add(gone!.chain)
    assert.deepEqual(checked.ended(), [{ peer: 'gone', wasPresent: false }])
    assert.deepEqual(checked.ended(), [])
    for (let n = 0; n < MAX_RECALLED + 5; n++) {
      checked.add(`p${n}`, member('member'))
      checked.left(`p${n}`)
    }
    assert.deepEqual([checked.recall('p0'), checked.recall('here')?.role], [undefined, 'member'], 'who is here stays')
    over.add(here!.chain)
    assert.deepEqual(checked.ended(), [{ peer: 'here', wasPresent: true }])
    assert.equal(checked.standingOf('here'), STRANGER)
  })
})

describe('endings', () => {
  let [audited, less, expelled]: [AuditEvent[], string[], string[]] = [[], [], []]
  let over: string[]
  let endings: Endings
  beforeEach(() => {
    ;[audited, less, expelled, over] = [[], [], [], []]
    const checked = createCheckedPeers({
      isStillMember: ([peer]) => !over.includes(peer as never),
      isRevoked: () => false,
      endsInS: () => 1,
      generation: 0
    })
    for (const peer of [HERE!, AWAY!]) checked.add(peer, { member: { role: 'member', tags: [] }, chain: [peer] } as never)
    checked.left(AWAY!)
    endings = createEndings({
      membership: { revocation: undefined } as never,
      audit: (event) => audited.push(event),
      log: () => undefined,
      self: 'self',
      checked,
      expel: (peer) => expelled.push(peer),
      onLess: (peer) => less.push(peer)
    })
  })
  const revokes = (...peers: string[]): Notices => {
    const signed = (node: string): never =>
      ({ revocation: { node: originBytes(node), issuer: originBytes(ADMIN!), reason: 'a train' } }) as never
    return { ...NO_NOTICES, revocations: peers.map(signed) }
  }

  it('log every revocation that is learnt, also of who is away or was never here, and end what outlives connections', () => {
    over = [HERE!, AWAY!]
    endings.enforce(revokes(HERE!, AWAY!, UNSEEN!), true)
    const line = (peer: string): AuditEvent => ({ event: 'revoked', peer, by: ADMIN!, reason: 'a train' })
    assert.deepEqual(audited, [HERE!, AWAY!, UNSEEN!].map(line))
    assert.deepEqual([expelled, less.sort()], [[HERE], [HERE, AWAY, UNSEEN].sort()])
    endings.enforce(NO_NOTICES, true)
    assert.deepEqual([audited.length, expelled.length], [3, 1])
  })

  it('log who ends with somebody else, and leave alone who was let in anew', () => {
    over = [HERE!]
    endings.enforce(revokes(UNSEEN!, AWAY!), true)
    assert.deepEqual(
      audited.map((event) => ('peer' in event ? event.peer : '')),
      [UNSEEN, AWAY, HERE]
    )
    assert.deepEqual(less, [UNSEEN, HERE], 'the certificates of the other one are newer')
  })

  it('log that the key of a mesh was replaced, where that is learnt', () => {
    const successions = [MESH, OTHER_MESH].map(
      (mesh, n) => ({ succession: { mesh: originBytes(mesh), generation: n + 1, keeps: [1, 2] } }) as never
    )
    endings.enforce({ ...NO_NOTICES, successions }, false)
    assert.deepEqual(audited, [])
    endings.enforce({ ...NO_NOTICES, successions }, true)
    assert.deepEqual(audited, [
      { event: 'rotated', mesh: MESH, generation: 1, kept: 2 },
      { event: 'rotated', mesh: OTHER_MESH, generation: 2, kept: 2 }
    ])
  })
})
