import assert from 'node:assert/strict'
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { Role } from '../../protocols/member/messages.ts'
import type { LocalTool } from '../../src/calls/provider.ts'
import type { LimitRule } from '../../src/core/limits.ts'
import type { MemberStanding, PolicyRule } from '../../src/core/policy.ts'
import { MeshError, isMeshError } from '../../src/errors.ts'
import { createConsent, type Consent } from '../../src/mesh-consent.ts'
import { STRANGER } from '../../src/mesh-trust.ts'
import type { ArrivedEvent } from '../../src/triggers/handling.ts'

/** PeerIds of this node, of a member, of a guest, of two nodes of another mesh, one of which this node has never seen, and of one that was revoked. */
const [SELF, MEMBER, GUEST, CLUB_NODE, FAR, REVOKED] = ['self', 'member', 'guest', 'club-node', 'far', 'revoked']
const standing = (role: Role = 'member', tags: string[] = []): MemberStanding => ({
  role,
  tags,
  since: 0,
  notAfter: 1,
  generation: 0
})
const LENT: CapabilityDeclaration = { id: 'cam', type: 'sensor/camera' }
const KEPT: CapabilityDeclaration = { id: 'vault', type: 'private/vault' }

describe('consent for callers of other meshes', () => {
  function consent(policy: PolicyRule[] = [], limits: LimitRule[] = []): Consent {
    const standings: Record<string, MemberStanding> = { [MEMBER]: standing(), [GUEST]: standing('guest') }
    const lends = (mesh: string, type: string): boolean => mesh === 'club' && type === LENT.type
    const meshOf = (peer: string): string | undefined => (peer === CLUB_NODE ? 'club' : undefined)
    return createConsent({
      self: SELF,
      membership: { mesh: 'home', role: 'owner', chain: () => [] },
      name: 'attic',
      nameOf: () => undefined,
      limits,
      policy,
      trust: {
        standingOf: (peer) => standings[peer] ?? STRANGER,
        recall: (peer, before) => standings[peer] ?? (peer === REVOKED ? undefined : before)
      },
      federation: {
        lends,
        meshOf,
        nodeOf: (peer) => (meshOf(peer) === undefined ? undefined : { mesh: 'club', meshName: 'the club', name: 'radio' }),
        checkLent(peer, _capability, _tool, type) {
          // Who is not here has not proved to be of this mesh.
          if (![SELF, MEMBER, GUEST].includes(peer) && !lends(meshOf(peer) ?? '', type ?? ''))
            throw new MeshError('permission_denied', 'not lent', { reason: 'not_lent' })
        }
      },
      now: () => 0,
      log: () => undefined,
      audit: undefined,
      emit: () => undefined
    })
  }
  function answer(
    rules: PolicyRule[],
    capability: CapabilityDeclaration,
    caller: string,
    causes?: string[],
    asks = false,
    agent?: string
  ): string {
    const local = { capability, tool: { name: 'use', requiresApproval: asks } } as unknown as LocalTool
    const request = { capability: capability.id, tool: 'use', input: {}, caller, causes, agent } as never
    const stop = new AbortController()
    try {
      const waits = consent(rules).authorize(local, request, { signal: stop.signal })
      waits?.catch(() => undefined)
      stop.abort()
      return waits === undefined ? 'allow' : 'ask'
    } catch (error) {
      assert.ok(isMeshError(error, 'permission_denied'))
      return String(error.details['reason'])
    }
  }

  /** What is said to an event, when it arrives and when it is to be handled. */
  function answerEvent(
    rules: PolicyRule[],
    source: string,
    before: string[] = [],
    isKept = false,
    limits: LimitRule[] = [],
    given: Partial<ArrivedEvent> = {}
  ): string[] {
    const causes = [...before, source]
    const standings = isKept ? causes.map((peer) => (peer === SELF ? undefined : standing())) : undefined
    const event = { node: source, causes, standings, event: { data: null }, ...given } as unknown as ArrivedEvent
    const made = consent(rules, limits)
    const told = (work: () => Promise<void> | undefined | void): string => {
      try {
        const waits = work()
        waits?.catch(() => undefined)
        return waits === undefined ? 'allow' : 'ask'
      } catch (error) {
        return (error as MeshError).code
      }
    }
    const stop = new AbortController()
    const all = [
      told(() => made.admitEvent(event, LENT)),
      told(() => made.authorizeEvent(event, LENT, { signal: stop.signal })),
      told(() => made.admitEvent(event, LENT))
    ]
    stop.abort()
    return all
  }

  it('an event is a call of the tool "handle": denied before it is taken in, asked for before it is handled', () => {
    const allow = ['allow', 'allow', 'allow']
    assert.deepEqual(answerEvent([], MEMBER), allow)
    assert.deepEqual(answerEvent([], SELF), allow)
    const deny = (node: string): PolicyRule[] => [{ effect: 'deny', nodes: [node], tools: ['handle'] }]
    const denied = ['permission_denied', 'permission_denied', 'permission_denied']
    assert.deepEqual(answerEvent(deny(MEMBER), MEMBER), denied)
    assert.deepEqual(answerEvent([{ effect: 'deny', tools: ['use'] }], MEMBER), allow)
    assert.deepEqual(answerEvent([{ effect: 'ask', tools: ['handle'] }], MEMBER), ['allow', 'ask', 'allow'])
    assert.deepEqual(answerEvent(deny(MEMBER), SELF, [MEMBER]), denied, 'this node lends nobody its rights')
    assert.deepEqual(answerEvent(deny(MEMBER), SELF, [SELF]), allow)
    assert.deepEqual(answerEvent([], GUEST), denied)
    assert.equal(answerEvent([], CLUB_NODE)[0], 'permission_denied', 'nodes of other meshes send none')
  })

  it('an agent of this node needs for the tools of this node the consent that another node would, whoever began it', () => {
    for (const causes of [undefined, [SELF], [SELF, SELF]]) {
      const said = (rules: PolicyRule[], asks?: boolean): string => answer(rules, KEPT, SELF, causes, asks, 'keeper')
      assert.deepEqual([said([]), said([], true)], ['allow', 'ask'])
      assert.equal(said([{ effect: 'allow', roles: ['owner'] }], true), 'allow')
      assert.equal(said([{ effect: 'deny', types: ['private/*'] }]), 'policy')
      assert.equal(said([{ effect: 'ask', nodes: [SELF] }]), 'ask')
      assert.equal(said([{ effect: 'deny', roles: ['member'] }]), 'allow', 'it has the role of its node')
      assert.equal(answer([{ effect: 'deny' }], KEPT, SELF, causes, true), 'allow', 'a person at this node')
    }
    assert.equal(answer([], KEPT, SELF, [MEMBER], true, 'keeper'), 'ask')
    assert.equal(answer([], KEPT, SELF, [GUEST], false, 'keeper'), 'policy')
  })

  it('an event that was accepted before a restart is judged anew, its source as it was then; one that came since is not', () => {
    const said = (rules: PolicyRule[], source = FAR, before: string[] = [], given: Partial<ArrivedEvent> = {}): string =>
      answerEvent(rules, source, before, true, [], given)[1]!
    const ask: PolicyRule[] = [{ effect: 'ask', tools: ['handle'] }]
    assert.equal(said([]), 'allow')
    assert.equal(answerEvent([], FAR)[1], 'permission_denied')
    assert.equal(said(ask), 'ask')
    assert.equal(said([{ effect: 'deny', tools: ['handle'] }]), 'permission_denied')
    assert.equal(said([{ effect: 'deny', roles: ['member'] }]), 'permission_denied')
    assert.equal(said([], REVOKED), 'permission_denied')
    assert.equal(said([], FAR, [], { standings: [standing('guest')] }), 'permission_denied')
    assert.equal(said([], FAR, [], { standings: undefined }), 'permission_denied', 'nothing is known of it')
    const kitchen: PolicyRule[] = [{ effect: 'allow', tags: ['kitchen'] }, { effect: 'deny' }]
    assert.equal(said(kitchen, FAR, [], { standings: [standing('member', ['kitchen'])] }), 'allow')
    assert.equal(said(kitchen, FAR, []), 'permission_denied')
    assert.equal(said([], FAR, ['far-too']), 'allow', 'so are all who caused it')
    assert.equal(said(ask, FAR, ['far-too']), 'ask')
    assert.equal(said([], FAR, ['far-too'], { standings: [undefined, standing()] }), 'permission_denied')
    assert.equal(said([], FAR, [REVOKED]), 'permission_denied')
    assert.equal(said(ask, SELF), 'allow')
    // A yes is for this event, as long as nobody who caused it has less than then.
    const isAllowed = { isAllowed: true }
    assert.equal(said(ask, FAR, [], isAllowed), 'allow')
    assert.equal(answerEvent(ask, MEMBER, [], false, [], isAllowed)[1], 'ask', 'it is not known what it was then')
    assert.equal(said([{ effect: 'allow' }], REVOKED), 'permission_denied', 'no rule is for who is no member')
    assert.equal(said(ask, MEMBER, [], { ...isAllowed, standings: [standing('admin')] }), 'ask')
    assert.equal(said(ask, MEMBER, [], { ...isAllowed, standings: [standing('member', ['kitchen'])] }), 'ask')
    assert.equal(said([{ effect: 'deny' }], FAR, [], isAllowed), 'permission_denied')
    assert.equal(said(ask, REVOKED, [], isAllowed), 'permission_denied')
    assert.equal(answerEvent([{ effect: 'deny', nodes: [MEMBER] }], MEMBER, [], true)[1], 'permission_denied')
  })

  it('limits that fit the tool "handle" count events', () => {
    const limits: LimitRule[] = [{ tools: ['handle'], callsPerMinute: 1 }]
    assert.deepEqual(answerEvent([], MEMBER, [], false, limits), ['allow', 'allow', 'busy'])
    assert.deepEqual(answerEvent([], SELF, [], false, limits), ['allow', 'allow', 'allow'])
  })

  it('is the treaty, unless a rule or the tool wants more', () => {
    assert.equal(answer([], LENT, CLUB_NODE), 'allow')
    assert.equal(answer([], LENT, CLUB_NODE, undefined, true), 'ask')
    assert.equal(answer([{ effect: 'deny', meshes: ['club'] }], LENT, CLUB_NODE), 'policy')
    assert.equal(answer([{ effect: 'ask', meshes: ['club'] }], LENT, CLUB_NODE), 'ask')
    for (const rules of [[], [{ effect: 'allow' as const }], [{ effect: 'allow' as const, meshes: ['club'] }]])
      assert.equal(answer(rules, KEPT, CLUB_NODE), 'not_lent', 'no rule lends what the treaty does not')
  })

  it('takes who caused a call of the other mesh for one of it, and nobody of its own for more than it is', () => {
    assert.equal(answer([], LENT, CLUB_NODE, [FAR]), 'allow')
    assert.equal(answer([{ effect: 'deny', nodes: [FAR] }], LENT, CLUB_NODE, [FAR]), 'policy')
    assert.equal(answer([], LENT, CLUB_NODE, [GUEST]), 'policy', 'a guest gains nothing by going round through another mesh')
    assert.equal(answer([], LENT, CLUB_NODE, [MEMBER]), 'allow')
    assert.equal(answer([], LENT, CLUB_NODE, [SELF]), 'allow')
  })

  it('lends to a node of the other mesh that a member calls for no more than to itself', () => {
    assert.equal(answer([], LENT, MEMBER, [CLUB_NODE]), 'allow')
    assert.equal(answer([], KEPT, MEMBER, [CLUB_NODE]), 'policy')
    assert.equal(answer([], KEPT, SELF, [CLUB_NODE]), 'policy')
    assert.equal(answer([], LENT, MEMBER, [FAR]), 'policy', 'of whom nobody knows anything')
    assert.equal(answer([], KEPT, MEMBER), 'allow')
    assert.equal(answer([], KEPT, GUEST), 'policy')
  })

  it('gives who caused a call of a member, and is known to nobody here, what a rule gives it by its PeerId, and nothing else', () => {
    const allow = { effect: 'allow' as const }
    for (const rules of [
      [{ ...allow, capabilities: ['vault'] }],
      [{ ...allow, roles: ['guest' as const] }],
      [{ ...allow, nodes: [MEMBER] }],
      [{ ...allow, nodes: [FAR], meshes: ['home'] }]
    ]) {
      assert.equal(answer(rules, KEPT, MEMBER, [FAR]), 'policy', JSON.stringify(rules))
      assert.equal(answer(rules, KEPT, SELF, [FAR]), 'policy', JSON.stringify(rules))
    }
    const named = [
      { effect: 'allow' as const, nodes: [FAR] },
      { effect: 'allow' as const, nodes: [MEMBER] }
    ]
    assert.equal(answer(named, KEPT, MEMBER, [FAR]), 'allow')
    assert.equal(answer([{ ...allow, capabilities: ['vault'] }], KEPT, MEMBER, [GUEST]), 'allow', 'one that is known')
  })
})
