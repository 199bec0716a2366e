import { decodeCbor, encodeCbor } from '../../protocols/cbor.ts'
import { CODECS } from '../vectors/codecs.ts'
import { readVectors } from '../vectors/read.ts'

/** Something that reads bytes of a peer, with valid bytes to start from. */
export interface Decoder {
  name: string
  decode(bytes: Uint8Array): unknown
  valid: Uint8Array[]
}

/** Longer vectors stand at a limit: as a start they would only cost time. */
const MAX_SEED_BYTES = 2_048

/** Every decoder that a peer's bytes can reach; a new message is here as soon as it has its codec and its vectors. */
export const DECODERS: Decoder[] = [
  { name: 'cbor', decode: decodeCbor, valid: [encodeCbor({ a: [1, 'x', new Uint8Array(3), null, true, 1.5] })] },
  ...Object.entries(CODECS).flatMap(([protocol, messages]) => {
    const vectors = readVectors(protocol).valid.filter(({ bytes }) => bytes.length <= MAX_SEED_BYTES)
    return Object.entries(messages).map(([message, { decode }]) => ({
      name: `${protocol}/${message}`,
      decode,
      // A prefix has no vectors of its own: each frame begins with one.
      valid:
        message === 'prefix'
          ? vectors.map(({ bytes }) => bytes)
          : vectors.filter((row) => row.message === message).map(({ payload }) => payload)
    }))
  })
]
