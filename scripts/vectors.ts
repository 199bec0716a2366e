/**
 * `npx tsx scripts/vectors.ts [protocol…]`: writes protocols/<name>/vectors/{valid,invalid}.json anew.
 * Run it only when a protocol gains a message: the committed vectors are the contract, and the tests read them, not this.
 */
import * as cborg from 'cborg'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { announceVectors } from './vectors/announce.ts'
import { callVectors } from './vectors/call.ts'
import { embeddingVectors } from './vectors/embedding.ts'
import { forwardVectors } from './vectors/forward.ts'
import { framingVectors } from './vectors/framing.ts'
import { gradientVectors } from './vectors/gradient.ts'
import { joinVectors } from './vectors/join.ts'
import { lendVectors } from './vectors/lend.ts'
import { memberVectors } from './vectors/member.ts'
import { nearbyVectors } from './vectors/nearby.ts'
import { syncVectors } from './vectors/sync.ts'
import { treatyVectors } from './vectors/treaty.ts'
import { triggerVectors } from './vectors/trigger.ts'
import { toJsonForm, type Vectors } from './vectors/form.ts'

const ROOT = join(import.meta.dirname, '..')
const ALL: Record<string, () => Vectors> = {
  framing: framingVectors,
  announce: announceVectors,
  sync: syncVectors,
  call: callVectors,
  member: memberVectors,
  join: joinVectors,
  nearby: nearbyVectors,
  treaty: treatyVectors,
  lend: lendVectors,
  gradient: gradientVectors,
  forward: forwardVectors,
  trigger: triggerVectors,
  embedding: embeddingVectors
}

for (const name of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(ALL)) {
  const { valid, invalid } = ALL[name]!()
  const rows = {
    invalid: invalid.map(({ bytes, prefix, ...rest }) => ({
      ...rest,
      ...(prefix === undefined ? {} : { prefix }),
      bytes: hex(bytes)
    })),
    valid: valid.map(({ bytes, prefixed, ...rest }) => ({
      ...rest,
      bytes: hex(bytes),
      json: toJsonForm(cborg.decode(prefixed === true ? afterPrefix(bytes) : bytes))
    }))
  }
  for (const kind of ['invalid', 'valid'] as const) {
    const lines = rows[kind].map((row) => `  ${JSON.stringify(row)}`)
    writeFileSync(join(ROOT, 'protocols', name, 'vectors', `${kind}.json`), `[\n${lines.join(',\n')}\n]\n`)
  }
  console.log(`${name}: ${valid.length} valid, ${invalid.length} invalid`)
}

/** Long bytes are written in parts, so that the files stay readable: hex, or hex that is repeated. */
function hex(bytes: Uint8Array): string | (string | { repeat: string; times: number })[] {
  const text = Buffer.from(bytes).toString('hex')
  if (bytes.length <= 1_024) return text
  const parts: (string | { repeat: string; times: number })[] = []
  let from = 0
  for (let at = 0; at < bytes.length;) {
    const run = runAt(bytes, at)
    if (run === undefined) at++
    else {
      if (at > from) parts.push(text.slice(from * 2, at * 2))
      parts.push({ repeat: text.slice(at * 2, (at + run.width) * 2), times: run.times })
      from = at += run.width * run.times
    }
  }
  if (from < bytes.length) parts.push(text.slice(from * 2))
  return parts
}

/** A pattern that repeats for more than 64 bytes. */
function runAt(bytes: Uint8Array, at: number): { width: number; times: number } | undefined {
  for (let width = 1; width <= 48; width++) {
    let end = at + width
    while (end < bytes.length && bytes[end] === bytes[end - width]) end++
    const times = Math.floor((end - at) / width)
    if (times >= 4 && times * width > 64) return { width, times }
  }
  return undefined
}

function afterPrefix(bytes: Uint8Array): Uint8Array {
  let at = 0
  while (bytes[at]! >= 0x80) at++
  return bytes.subarray(at + 1)
}
