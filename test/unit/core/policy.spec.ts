import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ROLES, type Role } from '../../../protocols/member/messages.ts'
import { EFFECTS, decide, decideUnchecked, stricter, type Effect, type PolicyRule } from '../../../src/core/policy.ts'

const [A, B] = ['12D3KooWA', '12D3KooWB']
const LAMP = { id: 'lamp', type: 'home/lamp' }
const ON = { name: 'on' }
const LOCK = { name: 'unlock', requiresApproval: true }
const said = (rules: PolicyRule[], role: Role = 'member', tool: typeof ON = ON, peerId = A): Effect =>
  decide(rules, { peerId, role, tags: ['kitchen'] }, LAMP, tool)

describe('policy', () => {
  it('without rules denies guests, asks where a tool wants that, and allows the rest', () => {
    for (const role of ['owner', 'admin', 'member'] as const)
      assert.deepEqual([said([], role), said([], role, LOCK)], ['allow', 'ask'])
    assert.deepEqual([said([], 'guest'), said([], 'guest', LOCK)], ['deny', 'deny'])
  })

  it('fits by role, tag, node, capability, type and tool; all that are named must fit', () => {
    const fitting: Omit<PolicyRule, 'effect'>[] = [
      {},
      { roles: ['guest', 'member'] },
      { nodes: [B, A] },
      { tags: ['garage', 'kitchen'] },
      { capabilities: ['l*'] },
      { types: ['home/*'] },
      { types: ['**'] },
      { tools: ['o?'] },
      { roles: ['member'], nodes: [A], capabilities: ['lamp'], types: ['home/lamp'], tools: ['on'] }
    ]
    for (const rule of fitting) assert.equal(said([{ effect: 'deny', ...rule }]), 'deny', JSON.stringify(rule))
    const not: Omit<PolicyRule, 'effect'>[] = [
      { roles: ['admin'] },
      { nodes: [B] },
      { nodes: ['*'] },
      { tags: ['garage'] },
      { tags: ['kitch'] },
      { capabilities: ['lam'] },
      { types: ['*'] },
      { tools: ['off', 'ON'] },
      { roles: [] },
      { roles: ['member'], nodes: [A], capabilities: ['lamp'], types: ['home/lamp'], tools: ['off'] }
    ]
    for (const rule of not) assert.equal(said([{ effect: 'deny', ...rule }]), 'allow', JSON.stringify(rule))
  })

  it('goes by the first rule that fits, also past what a tool wants', () => {
    const rules: PolicyRule[] = [
      { effect: 'allow', nodes: [A], tools: ['unlock'] },
      { effect: 'deny', tools: ['unlock'] },
      { effect: 'ask' }
    ]
    assert.deepEqual([said(rules, 'guest', LOCK), said(rules, 'owner', LOCK, B), said(rules)], ['allow', 'deny', 'ask'])
  })

  it('never allows what every rule denies, and never more than some rule or the default says', () => {
    const globs = fc.array(fc.constantFrom('*', 'lamp', 'home/*', 'on', 'x'), { minLength: 1, maxLength: 3 })
    const rule = fc.record(
      {
        effect: fc.constantFrom(...EFFECTS),
        roles: fc.subarray([...ROLES], { minLength: 1 }),
        nodes: fc.subarray([A, B], { minLength: 1 }),
        capabilities: globs,
        types: globs,
        tools: globs
      },
      { requiredKeys: ['effect'] }
    )
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 6 }), fc.constantFrom(...ROLES), fc.constantFrom(ON, LOCK), (rules, role, tool) => {
        const answer = said(rules, role, tool)
        const byDefault = said([], role, tool)
        assert.ok(answer === byDefault || rules.some(({ effect }) => effect === answer))
        assert.equal(said([...rules.map((one) => ({ ...one, effect: 'deny' as const })), { effect: 'deny' }], role, tool), 'deny')
      })
    )
  })

  describe('for callers of other meshes', () => {
    const [OWN, CLUB] = ['12D3KooWHome', '12D3KooWClub']
    // What `role` says there is of no account: a caller could be made owner by its own mesh.
    const foreign = (rules: PolicyRule[], tool: typeof ON = ON, role: Role = 'owner'): Effect =>
      decide(rules, { peerId: A, role, tags: ['kitchen'], mesh: CLUB, foreign: true }, LAMP, tool)

    it('takes the treaty as consent, and still asks where a tool wants that', () => {
      for (const role of ROLES) assert.deepEqual([foreign([], ON, role), foreign([], LOCK, role)], ['allow', 'ask'])
    })

    it('fits by mesh, and never by a role of the own mesh', () => {
      for (const [rule, fits] of [
        [{ meshes: [CLUB] }, true],
        [{ meshes: [OWN, CLUB] }, true],
        [{ meshes: [OWN] }, false],
        [{ meshes: [] }, false],
        [{ roles: ['owner', 'admin', 'member'] }, false],
        [{ roles: ['guest'] }, true],
        [{ roles: ['owner'], meshes: [CLUB] }, false],
        [{ tags: ['kitchen'] }, false],
        [{ tags: ['kitchen'], meshes: [CLUB] }, false],
        [{ roles: ['guest'], meshes: [CLUB] }, true],
        [{ nodes: [A] }, true],
        [{ nodes: [A], meshes: [OWN] }, false],
        [{}, true]
      ] as [Omit<PolicyRule, 'effect'>, boolean][])
        for (const role of ROLES) {
          assert.equal(foreign([{ effect: 'deny', ...rule }], ON, role), fits ? 'deny' : 'allow', JSON.stringify(rule))
          assert.equal(foreign([{ effect: 'allow', ...rule }], LOCK, role), fits ? 'allow' : 'ask', JSON.stringify(rule))
        }
    })

    it('leaves callers of the own mesh as they were', () => {
      const member = (rules: PolicyRule[]): Effect =>
        decide(rules, { peerId: A, role: 'member', tags: [], mesh: OWN, foreign: false }, LAMP, ON)
      assert.equal(member([{ effect: 'deny', meshes: [CLUB] }]), 'allow')
      assert.equal(member([{ effect: 'deny', meshes: [OWN] }]), 'deny')
      assert.equal(said([{ effect: 'deny', meshes: [OWN] }]), 'allow', 'of no mesh that is known')
    })

    it('never fits a rule with roles but those for guests, whatever the rule', () => {
      const rule = fc.record(
        {
          effect: fc.constantFrom(...EFFECTS),
          roles: fc.subarray([...ROLES], { minLength: 1 }),
          meshes: fc.subarray([OWN, CLUB], { minLength: 1 })
        },
        { requiredKeys: ['effect', 'roles'] }
      )
      fc.assert(
        fc.property(fc.array(rule, { maxLength: 6 }), fc.constantFrom(...ROLES), (rules, role) => {
          const first = rules.find(({ roles, meshes }) => roles.includes('guest') && (meshes?.includes(CLUB) ?? true))
          assert.equal(foreign(rules, ON, role), first?.effect ?? 'allow')
        })
      )
    })
  })

  describe('for somebody that nobody here has checked', () => {
    const [OWN, CLUB] = ['12D3KooWHome', '12D3KooWClub']
    const unchecked = (rules: PolicyRule[]): Effect => decideUnchecked(rules, A, LAMP, ON)

    it('gives what a rule gives it by its PeerId alone, and denies the rest', () => {
      for (const [rules, effect] of [
        [[], 'deny'],
        [[{ effect: 'allow' }], 'deny'],
        [[{ effect: 'allow', roles: ['guest'] }], 'deny'],
        [[{ effect: 'ask' }], 'deny'],
        [[{ effect: 'allow', nodes: [B] }], 'deny'],
        [[{ effect: 'allow', nodes: [A], roles: ['guest'] }], 'deny'],
        [[{ effect: 'allow', nodes: [A], tools: ['off'] }], 'deny'],
        [[{ effect: 'allow', nodes: [A], tools: ['on'] }], 'allow'],
        [[{ effect: 'ask', nodes: [A] }], 'ask'],
        [[{ effect: 'ask' }, { effect: 'allow', nodes: [A] }], 'ask'],
        [
          [
            { effect: 'deny', tags: ['x'] },
            { effect: 'allow', nodes: [A] }
          ],
          'deny'
        ]
      ] as [PolicyRule[], Effect][])
        assert.equal(unchecked(rules), effect, JSON.stringify(rules))
    })

    it('never lets it do more than it may once it is known, whoever it turns out to be', () => {
      const some = <T>(values: T[]) => fc.option(fc.subarray(values, { minLength: 1 }), { nil: undefined })
      const rule = fc.record({
        effect: fc.constantFrom(...EFFECTS),
        roles: some([...ROLES]),
        tags: some(['kitchen', 'garage']),
        meshes: some([OWN, CLUB]),
        nodes: some([A, B]),
        tools: some(['on', 'off'])
      })
      const caller = fc.record({
        peerId: fc.constant(A),
        role: fc.constantFrom(...ROLES),
        tags: fc.subarray(['kitchen', 'garage']),
        mesh: fc.constantFrom(OWN, CLUB),
        foreign: fc.boolean()
      })
      fc.assert(
        fc.property(fc.array(rule as fc.Arbitrary<PolicyRule>, { maxLength: 6 }), caller, (rules, known) => {
          const effect = unchecked(rules)
          assert.equal(stricter(effect, decide(rules, known, LAMP, ON)), effect)
        }),
        { numRuns: 2_000 }
      )
    })
  })
})
