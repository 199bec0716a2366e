import { MeshError } from '../errors.ts'

/** What an agent may use for one intent. */
export interface AgentLimits {
  /** Questions to its model; of an agent that is code, calls and events. */
  steps: number
  /** Time, in ms, without the time that it waits for its turn. */
  timeMs: number
  /** Tokens of models, questions and answers. */
  tokens: number
  /** Calls of tools. */
  toolCalls: number
  /** Events and agents that an intent may follow from, one from the other. */
  depth: number
}

/** Name of a limit. */
export type AgentLimit = keyof AgentLimits

/** What an intent has used; kept over a restart. */
export type AgentUsage = Omit<AgentLimits, 'depth'>

/** Limits that are not given. */
export const DEFAULT_LIMITS: Readonly<AgentLimits> = { steps: 16, timeMs: 120_000, tokens: 100_000, toolCalls: 32, depth: 4 }
/** The most that may be given. A mesh ends chains of events and calls at 8 by itself. */
export const MAX_LIMITS: Readonly<AgentLimits> = {
  steps: 256,
  timeMs: 3_600_000,
  tokens: 10_000_000,
  toolCalls: 1_024,
  depth: 7
}

/** Nothing used yet. */
export const NOTHING_USED: Readonly<AgentUsage> = { steps: 0, timeMs: 0, tokens: 0, toolCalls: 0 }

/** What is left of the limits for one intent. What throws, throws {@link limitError}. */
export interface Budget {
  /** One more step. */
  step(): void
  /** One more call of a tool. */
  toolCall(): void
  /** Tokens that were used; they are counted, whatever the limit. */
  addTokens(count: number): void
  /** Throws if `count` more are too many. */
  checkTokens(count: number): void
  readonly tokensLeft: number
  /** In ms. */
  readonly timeLeft: number
  /** Stops the clock, for a time in which it is not the agent that takes long. @returns what has it go on. */
  pause(): () => void
  readonly used: AgentUsage
}

/** @param before what an earlier start of the node has used for it. @param now monotonic ms. */
export function createBudget(limits: AgentLimits, before: AgentUsage, now: () => number): Budget {
  const startedAt = now()
  const used = { ...before }
  /** Time that does not count, in ms. */
  let pausedMs = 0
  let pauses = 0
  let pausedAt = 0

  function count(what: 'steps' | 'toolCalls'): void {
    if (used[what] >= limits[what]) throw limitError(what, limits[what])
    used[what]++
  }

  const spentMs = (): number => before.timeMs + (pauses > 0 ? pausedAt : now()) - startedAt - pausedMs
  return {
    step: () => count('steps'),
    toolCall: () => count('toolCalls'),
    addTokens: (tokens) => void (used.tokens = Math.min(Number.MAX_SAFE_INTEGER, used.tokens + Math.ceil(tokens))),
    checkTokens(tokens) {
      if (used.tokens + tokens > limits.tokens) throw limitError('tokens', limits.tokens)
    },
    get tokensLeft() {
      return Math.max(0, limits.tokens - used.tokens)
    },
    get timeLeft() {
      return Math.max(0, limits.timeMs - spentMs())
    },
    pause() {
      if (pauses++ === 0) pausedAt = now()
      let isOver = false
      return () => {
        if (isOver) return
        isOver = true
        if (--pauses === 0) pausedMs += now() - pausedAt
      }
    },
    get used() {
      return { ...used, timeMs: Math.round(spentMs()) }
    }
  }
}

const WHAT: Record<AgentLimit, string> = {
  steps: 'steps',
  timeMs: 'ms of time',
  tokens: 'tokens',
  toolCalls: 'calls of tools',
  depth: 'events and agents in a chain'
}

/** An agent has come to one of its limits: `tool_failed`, of the time `deadline_exceeded`; `details.limit` says which. To try it again changes nothing. */
export function limitError(limit: AgentLimit, most: number): MeshError {
  const message = `the agent has used up its ${most} ${WHAT[limit]}; limits.${limit} of the agent allows more`
  return new MeshError(limit === 'timeMs' ? 'deadline_exceeded' : 'tool_failed', message, { limit, most, retryable: false })
}

/** Fills in what is not given. @throws MeshError `invalid_argument` for what is out of range. */
export function completeLimits(given: Partial<AgentLimits> = {}): AgentLimits {
  const limits = { ...DEFAULT_LIMITS, ...given }
  for (const [limit, most] of Object.entries(MAX_LIMITS)) {
    const value = limits[limit as AgentLimit]
    const least = limit === 'toolCalls' || limit === 'depth' ? 0 : 1
    if (!Number.isSafeInteger(value) || value < least || value > most)
      throw new MeshError('invalid_argument', `limits.${limit} of an agent must be a whole number of ${least} to ${most}`, {
        limit
      })
  }
  return limits
}
