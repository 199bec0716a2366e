import assert from 'node:assert/strict'
import { isMeshError } from '../../src/errors.ts'
import { createRoster, type CheckedPeer, type Roster } from '../../src/mesh-members.ts'
import type { Membership } from '../../src/trust/membership.ts'

const idOf = (letter: string): string => `12D3KooW${letter.repeat(44)}`

describe('which member is meant', () => {
  const [ours, theirs, third] = [idOf('A'), idOf('B'), idOf('C')]
  function roster(names: Record<string, string>): Roster {
    const checked = new Map(Object.keys(names).map((node) => [node, { member: {} } as CheckedPeer]))
    return createRoster({
      self: ours,
      membership: { chain: () => [], issued: [], roots: [], role: 'owner' } as unknown as Membership,
      gate: { isAdmitted: () => true },
      checked,
      nameOf: (node) => names[node] ?? 'own'
    })
  }

  it('by its PeerId that one alone, whoever calls itself so, and though it was never seen here', () => {
    assert.equal(roster({ [theirs]: 'attic', [third]: theirs }).find(theirs).peerId, theirs)
    assert.equal(roster({ [third]: theirs }).find(theirs).peerId, theirs)
    const shown = `…${theirs.slice(-8)}`
    assert.equal(roster({ [theirs]: 'attic', [third]: shown }).find(shown).peerId, theirs)
  })

  it('by a name that only one has', () => {
    assert.equal(roster({ [theirs]: 'attic' }).find('attic').peerId, theirs)
    assert.throws(
      () => roster({ [theirs]: 'attic', [third]: 'attic' }).find('attic'),
      (error) => isMeshError(error, 'ambiguous')
    )
    assert.throws(
      () => roster({ [theirs]: 'attic' }).find('cellar'),
      (error) => isMeshError(error, 'invalid_argument')
    )
  })
})
