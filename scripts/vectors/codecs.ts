import { decodeAnnouncement, decodeHead, decodeInfo, decodeRecord } from '../../protocols/announce/messages.ts'
import { encodeAnnouncement, encodeHead, encodeInfo, encodeRecord } from '../../protocols/announce/messages.ts'
import * as call from '../../protocols/call/messages.ts'
import { decodeCapability, encodeCapability } from '../../protocols/capability.ts'
import { decodeCbor, encodeCbor } from '../../protocols/cbor.ts'
import * as embedding from '../../protocols/embedding/messages.ts'
import * as forward from '../../protocols/forward/messages.ts'
import { decodeFrame, encodeFrame, readPrefix } from '../../protocols/framing/messages.ts'
import * as gradient from '../../protocols/gradient/messages.ts'
import * as join from '../../protocols/join/messages.ts'
import * as lend from '../../protocols/lend/messages.ts'
import * as member from '../../protocols/member/messages.ts'
import * as notices from '../../protocols/member/notices.ts'
import * as revocation from '../../protocols/member/revocation.ts'
import * as succession from '../../protocols/member/succession.ts'
import * as nearby from '../../protocols/nearby/messages.ts'
import * as sync from '../../protocols/sync/messages.ts'
import * as treaty from '../../protocols/treaty/messages.ts'
import { decodeTreatyCode, encodeTreatyCode } from '../../protocols/treaty/code.ts'
import * as trigger from '../../protocols/trigger/messages.ts'

/** How a message is read and written. */
export interface Codec {
  decode(bytes: Uint8Array): unknown
  encode(message: never): Uint8Array
}

/** A codec of a body that stands in a frame: it sees what CBOR made of the bytes. */
const body = (decode: (value: unknown) => unknown, encode: (message: never) => unknown): Codec => ({
  decode: (bytes) => decode(decodeCbor(bytes)),
  encode: (message) => encodeCbor(encode(message))
})

/** Every message of every protocol, by the names of its vectors: what the vectors are checked with and what is fuzzed. */
export const CODECS: Record<string, Record<string, Codec>> = {
  framing: {
    frame: { decode: decodeFrame, encode: (frame) => encodeFrame(frame) },
    prefix: { decode: (bytes) => readPrefix(bytes, 0), encode: () => new Uint8Array(0) }
  },
  announce: {
    head: { decode: decodeHead, encode: encodeHead },
    info: { decode: decodeInfo, encode: encodeInfo },
    capability: { decode: decodeCapability, encode: encodeCapability },
    announcement: { decode: decodeAnnouncement, encode: encodeAnnouncement },
    record: body(decodeRecord, encodeRecord)
  },
  sync: {
    request: body(sync.decodeSyncRequest, sync.encodeSyncRequest),
    item: body(sync.decodeSyncItem, sync.encodeSyncItem),
    end: body(sync.decodeSyncEnd, (end) => end)
  },
  call: {
    request: body(call.decodeRequest, call.encodeRequest),
    item: body(call.decodeItem, call.encodeItem),
    probe: body(call.decodeProbe, call.encodeProbe),
    load: body(call.decodeLoad, call.encodeLoad),
    loadItem: body(call.decodeLoadItem, call.encodeLoadItem)
  },
  member: {
    certificate: { decode: member.decodeCertificate, encode: member.encodeCertificate },
    hello: body(member.decodeMemberHello, member.encodeMemberHello),
    answer: body(member.decodeMemberAnswer, member.encodeMemberAnswer),
    introduction: body(member.decodeMemberIntroduction, member.encodeMemberIntroduction),
    end: body(member.decodeMemberEnd, member.encodeMemberEnd),
    revocation: { decode: revocation.decodeRevocation, encode: revocation.encodeRevocation },
    succession: { decode: succession.decodeSuccession, encode: succession.encodeSuccession },
    notices: body(notices.decodeNotices, notices.encodeNotices)
  },
  join: {
    request: body(join.decodeJoinRequest, join.encodeJoinRequest),
    welcome: body(join.decodeWelcome, join.encodeWelcome),
    invite: { decode: join.decodeInvite, encode: join.encodeInvite }
  },
  nearby: {
    request: body(nearby.decodeNearbyRequest, nearby.encodeNearbyRequest),
    sight: body(nearby.decodeNearbySight, nearby.encodeNearbySight),
    nonce: body(nearby.decodeNearbyNonce, nearby.encodeNearbyNonce)
  },
  treaty: {
    treaty: { decode: treaty.decodeTreaty, encode: treaty.encodeTreaty },
    signed: body(treaty.decodeSignedTreaty, treaty.encodeSignedTreaty),
    code: body(decodeTreatyCode, encodeTreatyCode),
    revocation: { decode: treaty.decodeTreatyRevocation, encode: treaty.encodeTreatyRevocation },
    signedRevocation: body(treaty.decodeSignedTreatyRevocation, treaty.encodeSignedTreatyRevocation)
  },
  gradient: {
    open: body(gradient.decodeGradientOpen, gradient.encodeGradientOpen),
    item: body(gradient.decodeGradientItem, gradient.encodeGradientItem)
  },
  forward: {
    open: body(forward.decodeForwardRequest, forward.encodeForwardRequest),
    item: body(forward.decodeForwardBytes, (bytes) => bytes),
    reply: body(forward.decodeForwardReply, forward.encodeForwardReply)
  },
  trigger: {
    open: body(trigger.decodeTriggerOpen, trigger.encodeTriggerOpen),
    event: { decode: trigger.decodeEvent, encode: trigger.encodeEvent },
    delivery: body(trigger.decodeDelivery, trigger.encodeDelivery),
    answers: body(trigger.decodeAnswers, trigger.encodeAnswers),
    copy: body(trigger.decodeCopy, trigger.encodeCopy),
    part: body(trigger.decodePayloadPart, (part) => part)
  },
  lend: { request: body(lend.decodeLendRequest, lend.encodeLendRequest), item: body(lend.decodeLendItem, lend.encodeLendItem) },
  embedding: {
    request: body(embedding.decodeEmbeddingRequest, embedding.encodeEmbeddingRequest),
    item: body(embedding.decodeEmbeddingItem, embedding.encodeEmbeddingItem),
    end: body(embedding.decodeEmbeddingEnd, embedding.encodeEmbeddingEnd)
  }
}
