import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'

/** Longest name of a function that servers take, in characters. */
export const MAX_FUNCTION_NAME = 64
const HASH_CHARACTERS = 8
const SEPARATOR = '__'
const PLAIN = /^[A-Za-z0-9-]+(_[A-Za-z0-9-]+)*$/

/**
 * What a model calls a tool of the mesh: `thermostat__read`. It depends on nothing but the target and the tool, so it is the same at every step and
 * after a restart, whatever else there is. What cannot be written so in letters, digits, `_` and `-` gets a hash of the whole as suffix: so no two share a name.
 */
export function functionName(target: string, tool: string): string {
  const plain = `${target}${SEPARATOR}${tool}`
  // The separator is found only where it was put: "a__b" of "c" must not be "b__c" of "a".
  if (PLAIN.test(target) && PLAIN.test(tool) && plain.length <= MAX_FUNCTION_NAME) return plain
  const hash = bytesToHex(sha256(utf8ToBytes(`${target}\n${tool}`))).slice(0, HASH_CHARACTERS)
  const room = MAX_FUNCTION_NAME - HASH_CHARACTERS - 1
  return `${plain.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, room)}_${hash}`
}
