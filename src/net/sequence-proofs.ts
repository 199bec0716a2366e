import { publicKeyFromMultihash } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { decode as decodeMultihash } from 'multiformats/hashes/digest'
import { signedSequenceBytes } from '../../protocols/gradient/messages.ts'
import { originBytes } from '../core/document.ts'
import type { SequenceNumber } from '../core/routing/sequence.ts'

/** Origins whose proofs are kept; the one used longest ago goes first. */
export const MAX_PROVEN_ORIGINS = 4_096
/** Proofs that are kept of an origin: neighbours may have different numbers of it. */
export const MAX_PROOFS_PER_ORIGIN = 8

/** Signatures of origins over their sequence numbers: only an origin makes new ones. Each is checked once. */
export interface SequenceProofs {
  /** The proof of a number, if it is known. Own ones are made. */
  of(origin: string, number: SequenceNumber): Promise<Uint8Array | undefined>
  /** True if the origin has signed the number: by this signature, or by one that is known. */
  check(origin: string, number: SequenceNumber, signature: Uint8Array | undefined): Promise<boolean>
}

/** @param mesh its id. @param privateKey of this node. */
export function createSequenceProofs(mesh: string, self: string, privateKey: PrivateKey): SequenceProofs {
  const proofs = new Map<string, Map<string, Uint8Array>>()
  const keyOf = ({ incarnation, sequence }: SequenceNumber): string => `${incarnation}.${sequence}`

  function keep(origin: string, number: SequenceNumber, signature: Uint8Array): void {
    const of = proofs.get(origin) ?? new Map<string, Uint8Array>()
    proofs.delete(origin)
    proofs.set(origin, of)
    of.set(keyOf(number), signature)
    if (of.size > MAX_PROOFS_PER_ORIGIN) of.delete(of.keys().next().value!)
    if (proofs.size > MAX_PROVEN_ORIGINS) proofs.delete(proofs.keys().next().value!)
  }

  function known(origin: string, number: SequenceNumber): Uint8Array | undefined {
    return proofs.get(origin)?.get(keyOf(number))
  }

  const bytesOf = (origin: string, { incarnation, sequence }: SequenceNumber): Uint8Array =>
    signedSequenceBytes(mesh, originBytes(origin), incarnation, sequence)

  return {
    async of(origin, number) {
      const found = known(origin, number)
      if (found !== undefined || origin !== self) return found
      const signature = await privateKey.sign(bytesOf(origin, number))
      keep(origin, number, signature)
      return signature
    },
    async check(origin, number, signature) {
      if (known(origin, number) !== undefined) return true
      if (signature === undefined) return false
      try {
        const key = publicKeyFromMultihash(decodeMultihash(originBytes(origin)) as never)
        if (key.type !== 'Ed25519' || !(await key.verify(bytesOf(origin, number), signature))) return false
      } catch {
        return false
      }
      keep(origin, number, signature)
      return true
    }
  }
}
