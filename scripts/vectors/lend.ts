import { MAX_CAPABILITY_BYTES, encodeCapability } from '../../protocols/capability.ts'
import { encodeCbor } from '../../protocols/cbor.ts'
import { encodeLendItem, encodeLendRequest } from '../../protocols/lend/messages.ts'
import { cbor, cborFaults, invalidValue, type Vectors } from './form.ts'

const CAPABILITY = encodeCapability({ id: 'cam', type: 'sensor/camera', tools: [{ name: 'snap' }] })

/** Vectors of the lend protocol: bodies of frames. */
export function lendVectors(): Vectors {
  const [request, item] = [invalidValue('request'), invalidValue('item')]
  return {
    valid: [
      { name: 'watch', message: 'request', bytes: encodeCbor(encodeLendRequest()) },
      { name: 'node', message: 'item', bytes: encodeCbor(encodeLendItem({ kind: 'node', name: 'attic' })) },
      { name: 'capability', message: 'item', bytes: encodeCbor(encodeLendItem({ kind: 'capability', bytes: CAPABILITY })) },
      { name: 'gone', message: 'item', bytes: encodeCbor(encodeLendItem({ kind: 'gone', id: 'cam' })) },
      { name: 'ready', message: 'item', bytes: encodeCbor(encodeLendItem({ kind: 'ready' })) }
    ],
    invalid: [
      request('an unknown operation', 'not watch', { o: 'list' }),
      request('no operation', 'missing', {}),
      request('a text', 'not a map', 'watch'),
      item('an unknown kind', 'no key that is known', { z: 1 }),
      item('a long name', 'over 64 characters', { n: 'x'.repeat(65) }),
      item('a name that is bytes', 'not text', { n: new Uint8Array(3) }),
      item('a capability that is text', 'not bytes', { c: 'cam' }),
      item('a capability that is none', 'bytes of something else', { c: cbor('cam') }),
      item('a capability without a type', 'not valid', { c: cbor({ id: 'cam' }) }),
      item('a large capability', 'over 64 KiB', { c: new Uint8Array(MAX_CAPABILITY_BYTES + 1) }),
      item('a long id', 'over 128 characters', { g: 'x'.repeat(129) }),
      item('ready as a number', 'not true', { r: 1 }),
      ...cborFaults('request', encodeCbor(encodeLendRequest())),
      ...cborFaults('item', encodeCbor(encodeLendItem({ kind: 'ready' })))
    ]
  }
}
