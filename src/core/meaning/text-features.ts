import { stemmer } from 'stemmer'

/** Most characters of one text that are looked at: what is asked is said at its beginning. */
export const MAX_TEXT_CHARS = 2_000
/** Lengths of the pieces of words, in characters. They bridge inflections and spelling mistakes, also of languages that the stemmer does not know. */
const [MIN_GRAM, MAX_GRAM] = [3, 5]

/** Kinds of features of a text: stems of its words, pairs of neighbouring stems, pieces of its words. */
export const FEATURE_KINDS = ['stem', 'pair', 'gram'] as const
/** One of {@link FEATURE_KINDS}. */
export type FeatureKind = (typeof FEATURE_KINDS)[number]

/** Words of English that only make a sentence of a request. Descriptions seldom have them, so that they would look rare, and weighty. */
const FUNCTION_WORDS = new Set(
  (
    'a about an and any are as at be by can could do does find for from give have help how i in is it me my need of on or please ' +
    'show some tell that the there this to want we what which with you your'
  ).split(' ')
)

/** The words of a text in lower case, `camelCase` and `snake_case` taken apart, diacritics kept. At most {@link MAX_TEXT_CHARS} characters are read. */
export function wordsOf(text: string): string[] {
  const apart = text.slice(0, MAX_TEXT_CHARS).replace(/([\p{Ll}\p{N}])(?=\p{Lu})/gu, '$1 ')
  return (
    apart
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? []
  )
}

/** The same words without those that say nothing of what is asked. */
export function contentWords(words: readonly string[]): string[] {
  return words.filter((word) => !FUNCTION_WORDS.has(word))
}

/** What is taken of the words of many texts: words come again and again, so that each is looked at once. */
export interface WordFeatures {
  /** Every feature of a kind in a text, as often as it is there. @param add is told each. */
  each(kind: FeatureKind, words: readonly string[], add: (feature: string) => void): void
}

/** Remembers each word it has seen: for a collection of texts, not for what strangers ask. */
export function createWordFeatures(): WordFeatures {
  const stems = new Map<string, string>()
  const pieces = new Map<string, string[]>()
  const stemOf = (word: string): string => remembered(stems, word, stemmer)
  return {
    each(kind, words, add) {
      if (kind === 'stem') for (const word of words) add(stemOf(word))
      else if (kind === 'pair') pairs(words.map(stemOf), add)
      else for (const word of words) for (const gram of remembered(pieces, word, grams)) add(gram)
    }
  }
}

function remembered<Value>(known: Map<string, Value>, word: string, make: (word: string) => Value): Value {
  let value = known.get(word)
  if (value === undefined) known.set(word, (value = make(word)))
  return value
}

/** Beginning and end of the text are neighbours as well. */
function pairs(stems: string[], add: (feature: string) => void): void {
  const all = ['^', ...stems, '$']
  for (let n = 1; n < all.length; n++) add(`${all[n - 1]} ${all[n]}`)
}

/** Beginning and end of the word are part of its pieces. */
function grams(word: string): string[] {
  const whole = ` ${word} `
  const all: string[] = []
  for (let length = MIN_GRAM; length <= MAX_GRAM; length++)
    for (let at = 0; at + length <= whole.length; at++) all.push(whole.slice(at, at + length))
  return all
}
