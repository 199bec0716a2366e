import { MeshError } from './errors.ts'
import type { JsonValue } from './json.ts'

/**
 * Checks of decoded values, for the decoders of this folder. Each throws MeshError `protocol_error` naming the field.
 * Written by hand because they run for every frame; `schema.json` of each protocol states the same for other languages,
 * and the vectors hold both to it.
 */
function refuse(field: string, want: string): never {
  throw new MeshError('protocol_error', `field "${field}" of a peer's message must be ${want}`)
}

/** A plain map with text keys. */
export function asMap(value: unknown, field: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) refuse(field, 'a map')
  return value as Record<string, unknown>
}

/** An array of at most `max` elements. */
export function asArray(value: unknown, field: string, max: number): unknown[] {
  if (!Array.isArray(value) || value.length > max) refuse(field, `an array of at most ${max}`)
  return value
}

/** Text of at most `max` UTF-16 units. */
export function asText(value: unknown, field: string, max: number): string {
  if (typeof value !== 'string' || value.length > max) refuse(field, `text of at most ${max} characters`)
  return value
}

/** Bytes, between `min` and `max` of them. */
export function asBytes(value: unknown, field: string, max: number, min = 0): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length > max || value.length < min) refuse(field, `${min} to ${max} bytes`)
  return value
}

/** An integer of 0 to `max`. */
export function asUint(value: unknown, field: string, max: number = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max)
    refuse(field, `an integer of 0 to ${max}`)
  return value
}

/** A finite number. */
export function asNumber(value: unknown, field: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) refuse(field, 'a finite number')
  return value
}

/** Deepest JSON value of a peer, in levels: what is deeper exhausts the stack of whoever prints it. */
export const MAX_JSON_DEPTH = 128

/**
 * Checks that a decoded value is JSON: no byte strings within, not too deep. Level by level, so that depth cannot overflow the stack here.
 * @throws MeshError `protocol_error`.
 */
export function asJson(value: unknown): JsonValue {
  if (typeof value !== 'object' || value === null) return value as JsonValue
  let level: object[] = [value]
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > MAX_JSON_DEPTH)
      throw new MeshError('protocol_error', `a JSON value of a peer's message is over ${MAX_JSON_DEPTH} levels deep`)
    const next: object[] = []
    for (const node of level) {
      if (node instanceof Uint8Array) throw new MeshError('protocol_error', "a JSON value of a peer's message holds bytes")
      for (const child of Array.isArray(node) ? (node as unknown[]) : (Object.values(node) as unknown[])) {
        if (typeof child === 'object' && child !== null) next.push(child)
      }
    }
    level = next
  }
  return value as JsonValue
}

/** `read` applied to a value that may be left out. */
export function optional<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  return value === undefined ? undefined : read(value)
}
