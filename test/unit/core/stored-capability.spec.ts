import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { sha256 } from '@noble/hashes/sha2.js'
import { encodeCapability } from '../../../protocols/capability.ts'
import { encodeCbor } from '../../../protocols/cbor.ts'
import { isMeshError } from '../../../src/errors.ts'
import { StoredCapability } from '../../../src/core/stored-capability.ts'

describe('stored capability', () => {
  const declared = { id: 'lamp', type: 'home/lamp', tools: [{ name: 'on', input: { type: 'object' } }], 'x-new': [1, 'two'] }
  const bytes = encodeCapability(declared)

  it('has the bytes as they came, their hash, and what they say, unknown keys too', () => {
    const stored = new StoredCapability(bytes)
    assert.deepEqual([stored.id, stored.type, stored.size], ['lamp', 'home/lamp', bytes.length])
    assert.deepEqual([stored.bytes, stored.hash, stored.declaration], [bytes, sha256(bytes), declared])
  })

  it('keeps nothing of the frame that it came in', () => {
    const frame = new Uint8Array(1_000_000)
    frame.set(bytes, 500)
    const stored = new StoredCapability(frame.subarray(500, 500 + bytes.length))
    frame.fill(0)
    assert.deepEqual(stored.bytes, bytes)
    assert.ok(stored.bytes.buffer.byteLength < 1_000)
  })

  it('is decoded once as long as somebody holds what came of it, and anew after that', async () => {
    const stored = new StoredCapability(bytes)
    const held = stored.declaration
    const collect = gc()
    await collect()
    assert.equal(stored.declaration, held)
    const others = Array.from({ length: 10 }, () => new StoredCapability(bytes))
    const seen = new WeakRef(others[0]!.declaration)
    await collect()
    assert.equal(seen.deref(), undefined)
    assert.deepEqual(others[0]!.declaration, declared)
  })

  it('is none if the bytes are none', () => {
    for (const wrong of [Uint8Array.of(0xff), encodeCbor({ id: 'No', type: 'x' }), encodeCbor('lamp')])
      assert.throws(
        () => new StoredCapability(wrong),
        (error) => isMeshError(error, 'protocol_error')
      )
  })
})

function gc(): () => Promise<void> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  return async () => {
    // What a WeakRef was asked for is held until the task is over.
    await new Promise((resolve) => setImmediate(resolve))
    collect()
  }
}
