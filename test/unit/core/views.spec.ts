import assert from 'node:assert/strict'
import { capabilityViews } from '../../../src/core/views.ts'
import type { DirectoryEntry } from '../../../src/core/directory.ts'

describe('views of capabilities', () => {
  const entry = (origin: string, name: string): DirectoryEntry =>
    ({
      origin,
      document: {
        info: { name },
        capabilities: new Map([['lamp', { id: 'lamp', declaration: { id: 'lamp', type: 'home/lamp' } }]])
      }
    }) as unknown as DirectoryEntry
  const entries = [entry('12D3KooWaaaaHALL', 'hall'), entry('12D3KooWaaaCELLAR', 'cellar')]
  const of = (node: string): string[] =>
    capabilityViews(entries, 'self', () => undefined, { node }).map(({ nodeName }) => nodeName)

  it('are those of a node by its name, its PeerId, or the end of that as tables show it', () => {
    assert.deepEqual(of('hall'), ['hall'])
    assert.deepEqual(of('12D3KooWaaaCELLAR'), ['cellar'])
    assert.deepEqual(of('…aaaCELLAR'), ['cellar'])
    assert.deepEqual(of('aaaaHALL'), ['hall'])
    assert.deepEqual(of('…LAR'), [])
  })

  it('are not those of a node that calls itself by the PeerId of another, or by the end of one; they are named by its own', () => {
    const peer = `12D3KooW${'A'.repeat(44)}`
    for (const name of [peer, '…AAAAAAAA']) {
      const all = [...entries, entry('12D3KooWthief', name)]
      assert.deepEqual(
        capabilityViews(all, 'self', () => undefined, { node: name }),
        []
      )
      const refs = capabilityViews(all, 'self', () => undefined).map(({ ref }) => ref)
      assert.deepEqual(new Set(refs), new Set(['lamp@hall', 'lamp@cellar', 'lamp@12D3KooWthief']))
    }
  })
})
