import { sha256 } from '@noble/hashes/sha2.js'
import { decodeCapability, type CapabilityDeclaration } from '../../protocols/capability.ts'
import { decodeCbor } from '../../protocols/cbor.ts'

/** SHA-256. */
const HASH_BYTES = 32

/**
 * A capability as its origin encoded it. The bytes are kept: hashes are over them, and keys of a newer version survive. What they say takes
 * several times their room, and most of it is read rarely: it is decoded when somebody asks, and kept as long as somebody holds it.
 */
export class StoredCapability {
  readonly id: string
  readonly type: string
  /** Bytes and hash, in one buffer of their own: each costs more than the hash is long, and a part of a frame would hold all of it. */
  readonly #stored: ArrayBuffer
  #decoded: WeakRef<CapabilityDeclaration>

  /** @throws MeshError `protocol_error` if the bytes are no capability. */
  constructor(bytes: Uint8Array) {
    const declaration = decodeCapability(bytes)
    this.id = declaration.id
    this.type = declaration.type
    const stored = new Uint8Array(bytes.length + HASH_BYTES)
    stored.set(bytes)
    stored.set(sha256(bytes), bytes.length)
    this.#stored = stored.buffer
    this.#decoded = new WeakRef(declaration)
  }

  get bytes(): Uint8Array {
    return new Uint8Array(this.#stored, 0, this.size)
  }

  /** SHA-256 of the bytes. */
  get hash(): Uint8Array {
    return new Uint8Array(this.#stored, this.size)
  }

  /** How many bytes there are. */
  get size(): number {
    return this.#stored.byteLength - HASH_BYTES
  }

  get declaration(): CapabilityDeclaration {
    const known = this.#decoded.deref()
    if (known !== undefined) return known
    // They were checked when they came.
    const declaration = decodeCbor(this.bytes) as CapabilityDeclaration
    this.#decoded = new WeakRef(declaration)
    return declaration
  }
}
