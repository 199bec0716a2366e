import { MAX_TEXT_CHARS } from './text-features.ts'
import { MeshError } from '../../errors.ts'
import { meantKey } from './items.ts'

/** Most examples that are kept of one capability, and of all; the oldest go. */
export const [MAX_LEARNED_EACH, MAX_LEARNED] = [64, 4_096] as const
/** Longest example, in characters: more is not read of what is asked either. */
export const MAX_EXAMPLE_CHARS = MAX_TEXT_CHARS

/** Something that was asked, and what it meant. */
export interface LearnedExample {
  /** Id and type of what was meant. */
  capability: string
  type: string
  text: string
}

/** Which examples are meant: those of this id, those with this text; all without both. */
export interface ExampleFilter {
  capability?: string
  text?: string
}

/** Requests that are known to mean a capability, beside the examples that it gives itself. */
export interface LearnedExamples {
  /** By a key of {@link meantKey}; the same list as long as nothing has changed there. */
  of(key: string): readonly string[]
  /** The oldest first. */
  all(): readonly LearnedExample[]
  /** As the newest. A text means one thing: what it meant before is forgotten. */
  add(example: LearnedExample): void
  /** @returns what was forgotten. */
  forget(filter: ExampleFilter): LearnedExample[]
  /** Another number after each change. */
  readonly revision: number
}

/** The text of an example in one line. @throws MeshError `invalid_argument` for no words, `too_large`. */
export function exampleText(text: string): string {
  const line = text.replaceAll(/\s+/gu, ' ').trim()
  if (line === '') throw new MeshError('invalid_argument', 'say what was asked, in words', { key: 'text' })
  if (line.length > MAX_EXAMPLE_CHARS)
    throw new MeshError('too_large', `an example has at most ${MAX_EXAMPLE_CHARS} characters`, { key: 'text' })
  return line
}

/** @param initial the oldest first; of too many the newest stay. */
export function createLearnedExamples(initial: readonly LearnedExample[] = []): LearnedExamples {
  let all: LearnedExample[] = []
  const byKey = new Map<string, readonly string[]>()
  let revision = 0

  /** Takes these instead; the lists of the others stay the same. */
  function keep(next: LearnedExample[], changed: readonly LearnedExample[]): void {
    all = next
    revision++
    const lists = new Map(changed.map((one): [string, string[]] => [keyOf(one), []]))
    for (const one of all) lists.get(keyOf(one))?.push(one.text)
    for (const [key, texts] of lists) {
      if (texts.length === 0) byKey.delete(key)
      else byKey.set(key, texts)
    }
  }

  function add(example: LearnedExample): void {
    const gone = all.filter(({ text }) => text === example.text)
    const others = all.filter(({ text }) => text !== example.text)
    const own = others.filter((one) => keyOf(one) === keyOf(example))
    const oldest = own.length >= MAX_LEARNED_EACH ? own[0] : others.length >= MAX_LEARNED ? others[0] : undefined
    if (oldest !== undefined) gone.push(oldest)
    keep([...others.filter((one) => one !== oldest), example], [...gone, example])
  }

  const kept = initial.slice(-MAX_LEARNED)
  keep(kept, kept)
  return {
    of: (key) => byKey.get(key) ?? NONE,
    all: () => all,
    add,
    forget({ capability, text }) {
      const fits = (one: LearnedExample): boolean =>
        (capability === undefined || one.capability === capability) && (text === undefined || one.text === text)
      const gone = all.filter(fits)
      if (gone.length > 0)
        keep(
          all.filter((one) => !fits(one)),
          gone
        )
      return gone
    },
    get revision() {
      return revision
    }
  }
}

const NONE: readonly string[] = []

function keyOf({ type, capability }: LearnedExample): string {
  return meantKey(type, capability)
}
