import type { MeaningMatch, MeaningMatches } from './lexical-index.ts'

/** Below this likelihood of the best answer whoever asks is to choose: a wrong guess is worse than a question. */
export const MIN_LIKELIHOOD = 0.6
/** What scores at least this share of the best is as good as it. */
export const NEARLY = 0.9
/** Answers that an ambiguous request is given. */
export const CHOICES = 3

/** What a request in words means. Never "the best available". */
export type MeaningDecision =
  /** `matches`: the best, and those of its type that are as good: which of them does it is not for meaning to say. */
  | { outcome: 'one'; matches: MeaningMatch[]; likelihood: number }
  /** `matches`: the nearest of each, the best first. */
  | { outcome: 'ambiguous'; matches: MeaningMatch[]; likelihood: number }
  /** `matches`: what came nearest, though it is not meant; perhaps nothing. */
  | { outcome: 'none'; matches: MeaningMatch[]; likelihood: number }

/**
 * Decides by what was found.
 * @param typeOf the type of what a key stands for: of several of one type it is for dispatch to choose.
 * @param isAlone whether nothing else stands in for it: then what is as good makes it unclear, however likely the best is.
 */
export function decideMeaning(
  { matches, likelihood }: MeaningMatches,
  typeOf: (key: string) => string,
  isAlone: (key: string) => boolean = () => false
): MeaningDecision {
  const [best] = matches
  const nearest = matches.slice(0, CHOICES)
  if (best === undefined || best.score < 1) return { outcome: 'none', matches: nearest, likelihood }
  const type = typeOf(best.key)
  const able = matches.filter(({ score }) => score >= 1)
  const isOneType = able.every(({ key }) => typeOf(key) === type)
  const alike = able.filter(({ key, score }) => typeOf(key) === type && score >= best.score * NEARLY)
  const [, second] = able
  const isClear = isAlone(best.key)
    ? second === undefined || (likelihood >= MIN_LIKELIHOOD && second.score < best.score * NEARLY)
    : likelihood >= MIN_LIKELIHOOD || isOneType
  if (isClear) return { outcome: 'one', matches: isAlone(best.key) ? [best] : alike, likelihood }
  return { outcome: 'ambiguous', matches: able.slice(0, CHOICES), likelihood }
}
