import { NO_NOTICES } from '../../../protocols/member/notices.ts'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { encodeFrame, MAX_EXCHANGES, MAX_FRAME_BYTES, type Frame } from '../../../protocols/framing/messages.ts'
import {
  encodeMemberHello,
  encodeMemberIntroduction,
  proofBytes,
  type MemberHello,
  type Role
} from '../../../protocols/member/messages.ts'
import { originBytes } from '../../../src/core/document.ts'
import { issueCertificate } from '../../../src/trust/certificate.ts'

const HELLO: Frame = {
  type: 'hello',
  hello: { version: 1, maxFrameBytes: MAX_FRAME_BYTES, windowBytes: 64 * 1024, maxExchanges: MAX_EXCHANGES }
}
/** The first exchange of the side that opened a stream. */
const FIRST = 1

/** The frames of a stream that asks once, in one piece; `items` follow without waiting for an answer. */
export function ask(body: unknown, ...items: unknown[]): Uint8Array {
  const frames: Frame[] = [
    HELLO,
    { type: 'open', id: FIRST, body, more: items.length > 0 },
    ...items.map((item): Frame => ({ type: 'item', id: FIRST, body: item }))
  ]
  return Buffer.concat(frames.map(encodeFrame))
}

/** The greeting of a stream and then these bytes. */
export const greetThen = (bytes: Uint8Array): Uint8Array => Buffer.concat([encodeFrame(HELLO), bytes])

/** A greeting of another version of the framing. */
export const greetAsVersion = (version: number): Uint8Array => encodeFrame({ ...HELLO, hello: { ...HELLO.hello, version } })

/** A proof that would be good in the mesh of that secret. */
export function proofOf(secret: Uint8Array, asks: string, answers: string): MemberHello {
  const nonce = crypto.getRandomValues(new Uint8Array(16))
  const peers = { asks: originBytes(asks), answers: originBytes(answers) }
  return { nonce, proof: hmac(sha256, secret, proofBytes('asks', nonce, peers)) }
}

/** A whole introduction: proof with a secret, certificate that `issuer` signs, for this mesh and node. */
export async function introduction(
  hello: MemberHello,
  grant: { mesh: Uint8Array; node: string; role: Role },
  issuer: PrivateKey
): Promise<Uint8Array> {
  const nowS = Math.floor(Date.now() / 1_000)
  const signed = await issueCertificate(
    {
      mesh: grant.mesh,
      node: originBytes(grant.node),
      role: grant.role,
      forward: true,
      notBefore: nowS - 60,
      notAfter: nowS + 86_400,
      serial: crypto.getRandomValues(new Uint8Array(16)),
      tags: [],
      since: nowS - 60,
      name: 'stranger'
    },
    issuer
  )
  return ask(
    encodeMemberHello(hello),
    encodeMemberIntroduction({ chain: [signed], digest: new Uint8Array(16), notices: NO_NOTICES })
  )
}

/** A mesh that is not the victim's. */
export async function foreignMesh(): Promise<{ key: PrivateKey; id: Uint8Array; secret: Uint8Array }> {
  const key = await generateKeyPair('Ed25519')
  return { key, id: peerIdFromPrivateKey(key).toMultihash().bytes, secret: crypto.getRandomValues(new Uint8Array(32)) }
}

/** An RPC of gossipsub (protobuf) with its length: subscriptions, grafts and one message for each topic. */
export function gossipRpc(topics: readonly string[], data: Uint8Array): Uint8Array {
  const text = (value: string): Uint8Array => new TextEncoder().encode(value)
  const rpc = Buffer.concat([
    ...topics.map((topic) => field(1, Buffer.concat([Buffer.of(0x08, 1), field(2, text(topic))]))),
    ...topics.map((topic) => field(2, Buffer.concat([field(2, data), field(4, text(topic))]))),
    field(3, Buffer.concat(topics.map((topic) => field(3, field(1, text(topic))))))
  ])
  return Buffer.concat([varint(rpc.length), rpc])
}

const field = (number: number, bytes: Uint8Array): Buffer =>
  Buffer.concat([Buffer.of((number << 3) | 2), varint(bytes.length), bytes])

function varint(value: number): Buffer {
  const out: number[] = []
  for (; value >= 0x80; value >>>= 7) out.push((value & 0x7f) | 0x80)
  return Buffer.of(...out, value)
}
