import type { MeaningMatch, MeaningMatches } from './lexical-index.ts'

/** Below this likelihood of the best answer whoever asks is to choose: a wrong guess is worse than a question. */
export const MIN_LIKELIHOOD = 0.6
/** Answers that an ambiguous request is given. */
export const CHOICES = 3

/** What a request in words means. Never "the best available". */
export type MeaningDecision =
  /** `matches`: of what is meant, interchangeable. */
  | { outcome: 'one'; matches: MeaningMatch[]; likelihood: number }
  /** `matches`: the nearest of each, the best first. */
  | { outcome: 'ambiguous'; matches: MeaningMatch[]; likelihood: number }
  /** `matches`: what came nearest, though it is not meant; perhaps nothing. */
  | { outcome: 'none'; matches: MeaningMatch[]; likelihood: number }

/**
 * Decides by what was found.
 * @param typeOf the type of what a key stands for: of several of one type it makes no difference for what is meant which one does it, that is for dispatch to choose.
 */
export function decideMeaning({ matches, likelihood }: MeaningMatches, typeOf: (key: string) => string): MeaningDecision {
  const [best] = matches
  const nearest = matches.slice(0, CHOICES)
  if (best === undefined || best.score < 1) return { outcome: 'none', matches: nearest, likelihood }
  const type = typeOf(best.key)
  const able = matches.filter(({ score }) => score >= 1)
  const alike = able.filter(({ key }) => typeOf(key) === type)
  if (likelihood >= MIN_LIKELIHOOD || alike.length === able.length) return { outcome: 'one', matches: alike, likelihood }
  return { outcome: 'ambiguous', matches: able.slice(0, CHOICES), likelihood }
}
