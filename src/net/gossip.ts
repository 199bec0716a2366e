import { TopicValidatorResult, gossipsub, type GossipSub, type GossipSubComponents } from '@libp2p/gossipsub'
import type { TopicScoreParams } from '@libp2p/gossipsub/score'
import { announceTopic } from '../../protocols/announce/messages.ts'
import { revocationTopic } from '../../protocols/member/revocation.ts'
import { successionTopic } from '../../protocols/member/succession.ts'
import { treatyTopic } from '../../protocols/treaty/messages.ts'
import { sha256 } from '@noble/hashes/sha2.js'
import type { Gossip, Verdict } from './announce.ts'

/**
 * Largest gossip RPC that is read, in bytes. The same on every node: a larger one would silently cut two peers off. An IWANT is
 * answered with all messages in one RPC: there must be room for a few hundred of the largest announcements.
 */
const MAX_RPC_BYTES = 4 * 1024 * 1024

/** Topics of a mesh; a node reads no other. */
export const meshTopics = (mesh: string): string[] => [
  announceTopic(mesh),
  revocationTopic(mesh),
  successionTopic(mesh),
  treatyTopic(mesh)
]

/** After how many seconds a message that was rejected is forgotten, nearly: to a hundredth. */
const FORGIVEN_AFTER_S = 600

/**
 * How a neighbour is scored for what it sends on a topic (gossipsub 1.1, peer scoring). Only for messages that a check rejects, which honest neighbours have none of
 * to pass on: nine within a short time, and nothing of it is read for some minutes. Topics are quiet for hours, so who sends little loses nothing, and nobody can save up.
 */
const TOPIC_SCORE: TopicScoreParams = {
  topicWeight: 1,
  timeInMeshWeight: 0,
  timeInMeshQuantum: 1,
  timeInMeshCap: 1,
  firstMessageDeliveriesWeight: 0,
  firstMessageDeliveriesDecay: 0.5,
  firstMessageDeliveriesCap: 1,
  meshMessageDeliveriesWeight: 0,
  meshMessageDeliveriesDecay: 0.5,
  meshMessageDeliveriesCap: 1,
  meshMessageDeliveriesThreshold: 1,
  meshMessageDeliveriesWindow: 10,
  meshMessageDeliveriesActivation: 5_000,
  meshFailurePenaltyWeight: 0,
  meshFailurePenaltyDecay: 0.5,
  invalidMessageDeliveriesWeight: -1,
  invalidMessageDeliveriesDecay: 0.01 ** (1 / FORGIVEN_AFTER_S)
}

/** Gossipsub set for small, trusted-by-signature messages on a LAN; see docs/adr for each choice. @param topics those that are read; without any, all. */
export function gossipService(topics: readonly string[] = []): (components: GossipSubComponents) => GossipSub {
  return gossipsub({
    // A peer may subscribe to what it likes: what is no topic of the mesh is not kept.
    ...(topics.length > 0 && { allowedTopics: [...topics] }),
    // Our records carry the origin's signature; a second one per hop would only cost.
    globalSignaturePolicy: 'StrictNoSign',
    msgIdFn: ({ data }) => sha256(data).subarray(0, 20),
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    floodPublish: true,
    doPX: false,
    maxInboundDataLength: MAX_RPC_BYTES,
    maxOutboundBufferSize: 8 * 1024 * 1024,
    // Many nodes behind one address are a household or a test, not an attack.
    scoreParams: { IPColocationFactorWeight: 0, topics: Object.fromEntries(topics.map((topic) => [topic, TOPIC_SCORE])) }
  })
}

const RESULT: Record<Verdict, TopicValidatorResult> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject
}

/** The gossip of a started libp2p node. */
export function createGossip(pubsub: GossipSub): Gossip {
  return {
    subscribe(topic, validate) {
      pubsub.topicValidators.set(topic, async (from, message) => RESULT[await validate(from.toString(), message.data)])
      pubsub.subscribe(topic)
    },
    async publish(topic, data) {
      await pubsub.publish(topic, data)
    }
  }
}
