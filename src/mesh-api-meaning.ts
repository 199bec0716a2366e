/** What users of a node see of what requests in words mean. Types only; part of the Mesh type. */

/** A capability that may be meant. */
export interface MeantView {
  /** Its id and type. */
  capability: string
  type: string
  name: string
  description: string | null
  /** How near it is to what was asked, in units of what is enough: below 1 it is not. */
  score: number
  /** Names of the nodes that offer it. */
  nodes: string[]
  /** Its examples were written by a model: it has none of its own, and nobody has confirmed any. */
  examplesBy?: 'model'
}

/** What a request was understood by. */
export interface MeaningBy {
  /** `words`: by words alone. `both`: by words and vectors. */
  path: 'words' | 'both'
  /** Of the vectors, as whoever makes them says. Null where words alone answered. */
  model: string | null
  /** Why it was by these. */
  reason: string
}

/** What a request in words means. */
export interface Understanding {
  /** What was asked, the first 256 characters of it. */
  text: string
  /** How many it has in all. */
  characters: number
  /** `one`: that is meant. `ambiguous`: one of these is, and whoever asks has to say which. `none`: nothing that is here; what comes nearest is named. */
  outcome: 'one' | 'ambiguous' | 'none'
  /** The best first. Of `one`: with those of the same type that are as good, unless it is an agent. At most three of the others. */
  matches: MeantView[]
  /** How likely the first is what is meant, from 0 to 1. */
  likelihood: number
  by: MeaningBy
}

/** What may be meant. */
export interface UnderstandOptions {
  /** Only what has this tool. */
  tool?: string
  /** Only what is of these types: a glob. */
  type?: string
  /** Only what has one of these ids. */
  ids?: readonly string[]
  /** By words alone, and only if what they mean is known now: else it is found out for later, and this throws `unavailable`. */
  atOnce?: boolean
  signal?: AbortSignal
}

/** An example that this node knows beside those that the capability gives itself. */
export interface MeaningExample {
  /** Id and type of what the text means. */
  capability: string
  type: string
  text: string
  /** Who says so: somebody who has confirmed it, or a model that has written it for what has no examples. */
  by: 'person' | 'model'
  /** PeerId and name of the node whose model has written it. */
  node?: string
  nodeName?: string
}

/** What this node has learned of what words mean. It is told to no other node. */
export interface MeaningExamples {
  /** The oldest first. `learns`: more are taken. */
  list(): { learns: boolean; examples: MeaningExample[] }
  /**
   * From now on the text is an example of the capability: somebody has said that this was meant. Resolves when it is kept, if it can be.
   * `capability`: id, or ID@NODE. Throws `unsupported` if this node is not set up to learn, `invalid_argument`, `too_large`, and what `call` throws for a name: `unknown_capability`, `ambiguous`, `unavailable`.
   */
  learn(text: string, capability: string): Promise<MeaningExample>
  /** Those of this id, with this text; all without both. @returns how many they were. Throws `unsupported` if this node has none, since it is not set up for any. */
  forget(which?: { capability?: string; text?: string }): Promise<number>
}

/** The part of the Mesh type that is about words. See ADR 22. */
export interface MeshMeaning {
  /**
   * Which capability of the mesh a request in words means, by what they say of themselves and by their examples. Nothing is called.
   * Throws `invalid_argument` for no words.
   */
  understand(text: string, options?: UnderstandOptions): Promise<Understanding>
  readonly examples: MeaningExamples
}
