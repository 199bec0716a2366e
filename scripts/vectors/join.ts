import { encodeCbor } from '../../protocols/cbor.ts'
import { encodeInvite, encodeJoinRequest, encodeWelcome, type Welcome } from '../../protocols/join/messages.ts'
import { ORIGIN } from './announce.ts'
import { cborFaults, invalidValue, type Vectors } from './form.ts'
import { SIGNED, SUCCESSION } from './member-signed.ts'

const TOKEN = Uint8Array.from({ length: 16 }, (_, n) => 240 + n)
const SECRET = Uint8Array.from({ length: 32 }, (_, n) => n * 7)
const ADDRESS = Uint8Array.of(4, 192, 168, 1, 7, 6, 0x0f, 0xa1)
const WELCOME: Welcome = { mesh: SIGNED.certificate.mesh, name: 'home', secret: SECRET, chain: [SIGNED], now: 1_800_000_007 }
const INVITE = { token: TOKEN, node: ORIGIN, addresses: [ADDRESS] }

/** Vectors of the join protocol: bodies of frames, and what an invite code holds. */
export function joinVectors(): Vectors {
  const [request, welcome, invite] = [invalidValue('request'), invalidValue('welcome'), invalidValue('invite')]
  const wire = encodeWelcome(WELCOME) as Record<string, unknown>
  const without = (key: string): unknown => Object.fromEntries(Object.entries(wire).filter(([name]) => name !== key))
  return {
    valid: [
      { name: 'join', message: 'request', bytes: encodeCbor(encodeJoinRequest({ op: 'join', token: TOKEN, name: 'pi' })) },
      {
        name: 'join without a name',
        message: 'request',
        bytes: encodeCbor(encodeJoinRequest({ op: 'join', token: TOKEN, name: '' }))
      },
      { name: 'renew', message: 'request', bytes: encodeCbor(encodeJoinRequest({ op: 'renew' })) },
      { name: 'welcome', message: 'welcome', bytes: encodeCbor(encodeWelcome(WELCOME)) },
      {
        name: 'welcome to a mesh whose key was replaced',
        message: 'welcome',
        bytes: encodeCbor(encodeWelcome({ ...WELCOME, successions: [SUCCESSION] }))
      },
      {
        name: 'welcome by a delegate',
        message: 'welcome',
        bytes: encodeCbor(encodeWelcome({ ...WELCOME, chain: [SIGNED, SIGNED] }))
      },
      {
        name: 'welcome of an owner',
        message: 'welcome',
        bytes: encodeCbor(encodeWelcome({ ...WELCOME, meshKey: SECRET }))
      },
      { name: 'invite', message: 'invite', bytes: encodeInvite(INVITE) },
      { name: 'invite without addresses', message: 'invite', bytes: encodeInvite({ ...INVITE, addresses: [] }) }
    ],
    invalid: [
      request('an unknown operation', 'neither join nor renew', { o: 'leave' }),
      request('no operation', 'missing', { t: TOKEN, n: '' }),
      request('a short token', '15 bytes', { o: 'join', t: TOKEN.subarray(1), n: '' }),
      request('a token that is text', 'not bytes', { o: 'join', t: 'secret', n: '' }),
      request('no token', 'missing', { o: 'join', n: '' }),
      request('a long name', 'over 64 characters', { o: 'join', t: TOKEN, n: 'x'.repeat(65) }),
      request('no name', 'missing', { o: 'join', t: TOKEN }),
      ...['m', 'n', 's', 'c', 't'].map((key) => welcome(`no ${key}`, 'missing', without(key))),
      welcome('a short secret', '31 bytes', { ...wire, s: SECRET.subarray(1) }),
      welcome('a long key', '129 bytes', { ...wire, k: new Uint8Array(129) }),
      welcome('a succession that is none', 'bytes of something else', { ...wire, g: [[SECRET, SECRET]] }),
      welcome('a negative time', 'before 1970', { ...wire, t: -1 }),
      welcome('a long chain', 'more than 4', {
        ...wire,
        c: Array.from({ length: 5 }, () => [SIGNED.bytes, SIGNED.signature])
      }),
      welcome('a long name', 'over 64 characters', { ...wire, n: 'x'.repeat(65) }),
      invite('an unknown version', 'version 2', [2, TOKEN, ORIGIN, []]),
      invite('a short token', '15 bytes', [1, TOKEN.subarray(1), ORIGIN, []]),
      invite('no node', 'empty id', [1, TOKEN, new Uint8Array(0), []]),
      invite('too many addresses', 'five', [1, TOKEN, ORIGIN, Array.from({ length: 5 }, () => ADDRESS)]),
      invite('an empty address', 'no bytes', [1, TOKEN, ORIGIN, [new Uint8Array(0)]]),
      invite('a long address', '129 bytes', [1, TOKEN, ORIGIN, [new Uint8Array(129)]]),
      invite('no addresses', 'a field is missing', [1, TOKEN, ORIGIN]),
      ...cborFaults('request', encodeCbor({ o: 'renew' })),
      ...cborFaults('welcome', encodeCbor(wire)),
      ...cborFaults('invite', encodeInvite(INVITE))
    ]
  }
}
