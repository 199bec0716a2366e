import { cutText } from '../core/cut-text.ts'

/** What a person does not see, or sees elsewhere than it stands: controls, directions, zero widths, tags, separators. */
const UNSEEN = /(?![\t\n])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** Text of another node, as a model and the person beside it are shown it: what a person would not see goes, so that both read the same; cut to `most` characters. */
export function shownText(text: string, most: number): string {
  return cutText(text.replace(UNSEEN, ''), most)
}
