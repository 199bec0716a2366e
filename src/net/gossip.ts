import { TopicValidatorResult, gossipsub, type GossipSub, type GossipSubComponents } from '@libp2p/gossipsub'
import { sha256 } from '@noble/hashes/sha2.js'
import type { Gossip, Verdict } from './announce.ts'

/**
 * Largest gossip RPC that is read, in bytes. The same on every node: a larger one would silently cut two peers off. An IWANT is
 * answered with all messages in one RPC: there must be room for a few hundred of the largest announcements.
 */
const MAX_RPC_BYTES = 4 * 1024 * 1024

/** Gossipsub set for small, trusted-by-signature messages on a LAN; see docs/adr for each choice. */
export function gossipService(): (components: GossipSubComponents) => GossipSub {
  return gossipsub({
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
    scoreParams: { IPColocationFactorWeight: 0 }
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
