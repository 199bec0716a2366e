import assert from 'node:assert/strict'
import { MeshError } from '../../protocols/errors.ts'
import { DECODERS } from '../../scripts/fuzz/decoders.ts'
import { fuzz } from '../../scripts/fuzz/run.ts'

describe('fuzz', function () {
  this.timeout(60_000)

  // A taste of `npm run fuzz -- --frames 1000000`.
  for (const decoder of DECODERS) {
    it(`${decoder.name} answers 3,000 hostile frames with typed errors only`, () => {
      const { failures, accepted } = fuzz(decoder, { frames: 3_000, seed: 7 })
      assert.deepEqual(failures, [])
      assert.ok(accepted < 3_000, 'nothing was refused: the frames are not hostile')
    })
  }

  it('finds a decoder that throws something else', () => {
    const decode = (bytes: Uint8Array): void => {
      if (bytes[0] !== 1) throw new TypeError('untyped')
      if (bytes.length > 4) throw new MeshError('protocol_error', 'typed')
    }
    const { failed, refused, failures } = fuzz({ name: 'bad', decode, valid: [Uint8Array.of(1, 2, 3)] }, { frames: 500, seed: 1 })
    assert.ok(failed > 0 && failures.length > 0)
    assert.deepEqual(Object.keys(refused), ['protocol_error'])
  })

  it('gives the same frames for the same seed', () => {
    const seen = (seed: number): string => {
      const frames: string[] = []
      fuzz(
        { name: 'spy', decode: (bytes) => frames.push(Buffer.from(bytes).toString('hex')), valid: [Uint8Array.of(0x81, 1)] },
        { frames: 50, seed }
      )
      return frames.join()
    }
    assert.equal(seen(3), seen(3))
    assert.notEqual(seen(3), seen(4))
  })
})
