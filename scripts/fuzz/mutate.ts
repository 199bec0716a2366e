import * as cborg from 'cborg'
import type { Random } from './random.ts'

/** Frames of pure chance are at most this long; what the length header claims has no limit. */
const MAX_RANDOM_BYTES = 512
/** A repeated frame reaches the size limits of the decoders. */
const MAX_REPEATED_BYTES = 2 * 1024 * 1024
/** Share of frames that are that large: they cost a thousand times the others. */
const LARGE_SHARE = 1 / 5_000

/** Heads of CBOR items that promise much: 4 GB and 2^64-1 of bytes, text, array, map; indefinite; tags; floats; breaks. */
const EVIL_HEADS = [0x5a, 0x7a, 0x9a, 0xba].flatMap((head) => [
  [head, 0xff, 0xff, 0xff, 0xff],
  [head + 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [head + 5]
])
const EVIL_BYTES = [
  ...EVIL_HEADS,
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
  [0xc0],
  [0xd9, 0xd9, 0xf7],
  [0xf9, 0x7e, 0x00],
  [0xfb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0],
  [0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0xff],
  [0xf7],
  [0x81],
  [0xa1]
]

const ODD_VALUES: unknown[] = [
  null,
  true,
  0,
  -1,
  0.5,
  2 ** 31,
  2 ** 32,
  Number.MAX_SAFE_INTEGER,
  Number.MIN_SAFE_INTEGER,
  1e308,
  '',
  '__proto__',
  'constructor',
  '\u0000',
  '\ud83d\ude00'.repeat(20),
  new Uint8Array(0),
  new Uint8Array(32),
  [],
  {},
  [[[[[]]]]]
]

/** Values past the limits of the decoders. */
const HUGE_VALUES: unknown[] = [
  'a'.repeat(10_000),
  new Uint8Array(70_000),
  Array.from({ length: 2_000 }, () => 0),
  Object.fromEntries(Array.from({ length: 2_000 }, (_, n) => [`k${n}`, n]))
]
/** Share of odd values that are huge, and of nested frames that are deep enough to exhaust a stack: rare, because slow. */
const HUGE_SHARE = 1 / 100
const DEEP_BYTES = 20_000
const SHALLOW_BYTES = 100

const oddValue = (random: Random): unknown => random.pick(random.next() < HUGE_SHARE ? HUGE_VALUES : ODD_VALUES)

type Mutation = (bytes: Uint8Array, random: Random) => Uint8Array

const flipBits: Mutation = (bytes, random) => {
  const out = bytes.slice()
  for (let n = random.below(4); n >= 0 && out.length > 0; n--) {
    const at = random.below(out.length)
    out[at] = (out[at] ?? 0) ^ (1 << random.below(8))
  }
  return out
}

const truncate: Mutation = (bytes, random) => bytes.slice(0, random.below(bytes.length + 1))

const append: Mutation = (bytes, random) => join(bytes, random.bytes(1 + random.below(16)))

const remove: Mutation = (bytes, random) => {
  const from = random.below(bytes.length + 1)
  return join(bytes.subarray(0, from), bytes.subarray(from + 1 + random.below(8)))
}

const insertEvil: Mutation = (bytes, random) => {
  const at = random.below(bytes.length + 1)
  const evil = Uint8Array.from(random.pick(EVIL_BYTES))
  return join(bytes.subarray(0, at), evil, bytes.subarray(random.next() < 0.5 ? at : Math.min(bytes.length, at + evil.length)))
}

const chance: Mutation = (_, random) => random.bytes(random.below(MAX_RANDOM_BYTES))

const nest: Mutation = (bytes, random) => {
  const deep = new Uint8Array(random.below(random.next() < HUGE_SHARE ? DEEP_BYTES : SHALLOW_BYTES)).fill(
    random.pick([0x81, 0xa1, 0x9f, 0xc1])
  )
  return join(bytes.subarray(0, random.below(bytes.length + 1)), deep)
}

/** Changes the value and encodes it again: such frames pass the CBOR layer and reach the checks behind it. */
const changeValue: Mutation = (bytes, random) => {
  try {
    return cborg.encode(change(cborg.decode(bytes), random, 6))
  } catch {
    return flipBits(bytes, random)
  }
}

function change(value: unknown, random: Random, depth: number): unknown {
  const container = typeof value === 'object' && value !== null && !(value instanceof Uint8Array)
  if (!container || depth === 0 || random.next() < 0.15) return oddValue(random)
  if (Array.isArray(value)) {
    const out = [...(value as unknown[])]
    const at = random.below(out.length + 1)
    const what = random.below(4)
    if (what === 0) out.splice(at, 1)
    else if (what === 1) out.splice(at, 0, oddValue(random))
    else if (at < out.length) out[at] = change(out[at], random, depth - 1)
    return out
  }
  const entries = Object.entries(value)
  const at = random.below(entries.length + 1)
  const what = random.below(4)
  if (what === 0) entries.splice(at, 1)
  else if (what === 1) entries.push([random.pick(['x', '__proto__', 'constructor', 'toString', '']), oddValue(random)])
  else if (at < entries.length) entries[at] = [entries[at]?.[0] ?? '', change(entries[at]?.[1], random, depth - 1)]
  // `fromEntries` defines own keys, so that `__proto__` is a key here and not the prototype.
  return Object.fromEntries(entries)
}

const repeat: Mutation = (bytes, random) => {
  const length = random.below(MAX_REPEATED_BYTES)
  const out = new Uint8Array(length)
  for (let at = 0; at < length && bytes.length > 0; at += bytes.length) out.set(bytes.subarray(0, length - at), at)
  return out
}

const SMALL: readonly Mutation[] = [
  flipBits,
  truncate,
  append,
  remove,
  insertEvil,
  chance,
  nest,
  changeValue,
  changeValue,
  changeValue,
  changeValue
]

/** A hostile frame made out of valid ones: one to three mutations of one of them. */
export function mutate(valid: readonly Uint8Array[], random: Random): Uint8Array {
  let bytes = random.pick(valid)
  if (random.next() < LARGE_SHARE) return repeat(bytes, random)
  for (let n = random.below(3); n >= 0; n--) bytes = random.pick(SMALL)(bytes, random)
  return bytes
}

function join(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}
