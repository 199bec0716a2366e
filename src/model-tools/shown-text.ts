import type { JsonValue } from '../../protocols/json.ts'
import { cutText } from '../core/cut-text.ts'

/** What a person does not see, or sees elsewhere than it stands: controls, directions, zero widths, tags, separators. */
const UNSEEN = /(?![\t\n])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** Text of another node, as a model and the person beside it are shown it: what a person would not see goes, so that both read the same; cut to `most` characters. */
export function shownText(text: string, most: number): string {
  return cutText(text.replace(UNSEEN, ''), most)
}

/** Whether a person would see all of the texts in a value, names of keys included. */
export function isSeen(value: JsonValue): boolean {
  if (typeof value === 'string') return value.search(UNSEEN) === -1
  if (typeof value !== 'object' || value === null) return true
  return Object.entries(value).every(([key, one]) => isSeen(key) && isSeen(one))
}
