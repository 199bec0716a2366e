import { encodeCbor } from '../../protocols/cbor.ts'
import { commitmentTo, encodeNearbyNonce, encodeNearbyRequest, encodeNearbySight } from '../../protocols/nearby/messages.ts'
import { cborFaults, invalidValue, type Vectors } from './form.ts'
import { SIGNED } from './member-signed.ts'

const NONCE = Uint8Array.from({ length: 16 }, (_, n) => n)
const COMMITMENT = commitmentTo(NONCE)
const MESH = SIGNED.certificate.mesh

/** Vectors of the nearby protocol. */
export function nearbyVectors(): Vectors {
  const [request, sight, nonce] = [invalidValue('request'), invalidValue('sight'), invalidValue('nonce')]
  const seen = encodeNearbySight({ mesh: MESH, meshName: 'home', nodeName: 'laptop' }) as Record<string, unknown>
  const without = (key: string): unknown => Object.fromEntries(Object.entries(seen).filter(([name]) => name !== key))
  const asks = encodeCbor(encodeNearbyRequest({ op: 'ask', commitment: COMMITMENT, name: 'pi' }))
  return {
    valid: [
      { name: 'look', message: 'request', bytes: encodeCbor(encodeNearbyRequest({ op: 'look' })) },
      { name: 'ask', message: 'request', bytes: asks },
      {
        name: 'ask without a name',
        message: 'request',
        bytes: encodeCbor(encodeNearbyRequest({ op: 'ask', commitment: COMMITMENT, name: '' }))
      },
      { name: 'sight', message: 'sight', bytes: encodeCbor(seen) },
      {
        name: 'sight without names',
        message: 'sight',
        bytes: encodeCbor(encodeNearbySight({ mesh: MESH, meshName: '', nodeName: '' }))
      },
      { name: 'nonce', message: 'nonce', bytes: encodeCbor(encodeNearbyNonce(NONCE)) }
    ],
    invalid: [
      request('an unknown operation', 'neither look nor ask', { o: 'join' }),
      request('no operation', 'missing', { c: COMMITMENT, n: '' }),
      request('a short commitment', '31 bytes', { o: 'ask', c: COMMITMENT.subarray(1), n: '' }),
      request('a commitment that is text', 'not bytes', { o: 'ask', c: 'secret', n: '' }),
      request('no commitment', 'missing', { o: 'ask', n: '' }),
      request('a long name', 'over 64 characters', { o: 'ask', c: COMMITMENT, n: 'x'.repeat(65) }),
      request('no name', 'missing', { o: 'ask', c: COMMITMENT }),
      ...['i', 'm', 'n'].map((key) => sight(`no ${key}`, 'missing', without(key))),
      sight('an empty id', 'no bytes', { ...seen, i: new Uint8Array(0) }),
      sight('a long name of a mesh', 'over 64 characters', { ...seen, m: 'x'.repeat(65) }),
      sight('a long name of a node', 'over 64 characters', { ...seen, n: 'x'.repeat(65) }),
      nonce('a short nonce', '15 bytes', { n: NONCE.subarray(1) }),
      nonce('a long nonce', '17 bytes', { n: new Uint8Array(17) }),
      nonce('no nonce', 'missing', {}),
      ...cborFaults('request', asks),
      ...cborFaults('sight', encodeCbor(seen)),
      ...cborFaults('nonce', encodeCbor(encodeNearbyNonce(NONCE)))
    ]
  }
}
