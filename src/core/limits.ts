import type { CapabilityDeclaration, ToolDeclaration } from '../../protocols/capability.ts'
import { MeshError } from '../errors.ts'
import type { Item, JsonValue } from './invoke.ts'
import { fits, type Caller, type PolicyMatch } from './policy.ts'
import { createTokenBuckets } from './token-buckets.ts'

/** What limits may be set. */
export const LIMITS = ['callsPerMinute', 'concurrent', 'bytesPerMinute', 'tokensPerDay'] as const

/** How much callers may use. All fields of {@link PolicyMatch} that are given must fit; at least one of the limits is given. */
export interface LimitRule extends PolicyMatch {
  /** `peer`: each calling node for itself, the default. `all`: all together. */
  per?: 'peer' | 'all'
  callsPerMinute?: number
  /** Calls that run at once. */
  concurrent?: number
  /** Bytes that calls stream in and out. Past it they wait. */
  bytesPerMinute?: number
  /** Tokens of models, as results tell them: `usage.total_tokens`, as in the OpenAI API. A call begins while some are left. */
  tokensPerDay?: number
}

/** Bytes that are taken for a token where a call was cut short before its model told how many it took. */
export const BYTES_PER_TOKEN = 4

/** What a call has taken of its limits. */
export interface Meter {
  /** Counts an item that the caller streams in. @returns how long to wait before the next, in ms: mostly 0. */
  taken(item: Item): number
  /** Counts an item that the tool yields. @returns as `taken`. */
  yielded(item: Item): number
  /**
   * Gives back what a call holds while it runs. Once. @param cutShort it did not come to its end: if it has told no tokens until now, those of what it
   * has yielded are estimated, or whoever leaves before the last item would take them for nothing.
   */
  leave(cutShort?: boolean): void
}

/** The limits of a node. */
export interface Limits {
  /** Undefined: no limit fits. @throws MeshError `busy` with `details.reason` `limit` if one is used up: then nothing was taken. */
  enter(
    caller: Caller,
    capability: Pick<CapabilityDeclaration, 'id' | 'type'>,
    tool: Pick<ToolDeclaration, 'name'>
  ): Meter | undefined
}

/** @param now monotonic, in ms. */
export function createLimits(rules: readonly LimitRule[], now: () => number): Limits {
  const counted = rules.map((rule) => createCounters(rule, now))
  return {
    enter(caller, capability, tool) {
      const fitting = counted.filter(({ rule }) => fits(rule, caller, capability, tool))
      if (fitting.length === 0) return undefined
      const keyOf = ({ rule }: Counters): string => (rule.per === 'all' ? '' : caller.peerId)
      for (const counters of fitting) counters.check(keyOf(counters))
      for (const counters of fitting) counters.take(keyOf(counters))
      const use = (bytes: number, tokens: number): number =>
        fitting.reduce((wait, counters) => Math.max(wait, counters.use(keyOf(counters), bytes, tokens)), 0)
      let held = true
      let isTold = false
      let yieldedBytes = 0
      return {
        taken: (item) => use(bytesOf(item), 0),
        yielded(item) {
          const [bytes, tokens] = [bytesOf(item), item.kind === 'result' || item.kind === 'json' ? tokensOf(item.value) : 0]
          isTold ||= tokens > 0
          yieldedBytes += bytes
          return use(bytes, tokens)
        },
        leave(cutShort = false) {
          if (!held) return
          held = false
          if (cutShort && !isTold) use(0, Math.ceil(yieldedBytes / BYTES_PER_TOKEN))
          for (const counters of fitting) counters.leave(keyOf(counters))
        }
      }
    }
  }
}

interface Counters {
  rule: LimitRule
  /** @throws MeshError `busy`. */
  check(key: string): void
  take(key: string): void
  use(key: string, bytes: number, tokens: number): number
  leave(key: string): void
}

const MINUTE_S = 60
const DAY_S = 86_400

function createCounters(rule: LimitRule, now: () => number): Counters {
  const bucket = (amount: number | undefined, seconds: number): ReturnType<typeof createTokenBuckets> | undefined =>
    amount === undefined ? undefined : createTokenBuckets({ perSecond: amount / seconds, burst: amount }, now)
  const calls = bucket(rule.callsPerMinute, MINUTE_S)
  const bytes = bucket(rule.bytesPerMinute, MINUTE_S)
  const tokens = bucket(rule.tokensPerDay, DAY_S)
  const running = new Map<string, number>()

  return {
    rule,
    check(key) {
      if (rule.concurrent !== undefined && (running.get(key) ?? 0) >= rule.concurrent)
        throw refused('concurrent', `${rule.concurrent} calls at once`, undefined)
      const callMs = calls?.until(key, 1) ?? 0
      if (callMs > 0) throw refused('callsPerMinute', `${rule.callsPerMinute} calls a minute`, callMs)
      const tokenMs = tokens?.until(key, 1) ?? 0
      if (tokenMs > 0) throw refused('tokensPerDay', `${rule.tokensPerDay} tokens a day`, tokenMs)
    },
    take(key) {
      calls?.take(key)
      if (rule.concurrent !== undefined) running.set(key, (running.get(key) ?? 0) + 1)
    },
    use(key, amount, used) {
      if (used > 0) tokens?.debit(key, used)
      if (bytes === undefined || amount === 0) return 0
      // What is there already is not thrown away: it passes, and the next one waits until it is paid for.
      bytes.debit(key, amount)
      return bytes.until(key, 0)
    },
    leave(key) {
      const left = (running.get(key) ?? 0) - 1
      if (left > 0) running.set(key, left)
      else running.delete(key)
    }
  }
}

function refused(limit: (typeof LIMITS)[number], what: string, retryAfterMs: number | undefined): MeshError {
  const when = retryAfterMs === undefined ? 'when one of them is over' : `in ${Math.ceil(retryAfterMs / 1_000)} s`
  return new MeshError('busy', `this node allows ${what}, and they are used up; try again ${when}, or elsewhere`, {
    reason: 'limit',
    limit,
    ...(retryAfterMs !== undefined && { retryAfterMs: Math.ceil(retryAfterMs) }),
    notStarted: true
  })
}

function bytesOf(item: Item): number {
  if (item.kind === 'bytes') return item.bytes.byteLength
  return item.kind === 'json' ? UTF8.encode(JSON.stringify(item.value)).byteLength : 0
}
const UTF8 = new TextEncoder()

/** Tokens that a model says it took: `usage.total_tokens` (OpenAI API). */
export function tokensOf(value: JsonValue): number {
  const usage = typeof value === 'object' && value !== null && !Array.isArray(value) ? value['usage'] : undefined
  const total = typeof usage === 'object' && usage !== null && !Array.isArray(usage) ? usage['total_tokens'] : undefined
  return typeof total === 'number' && total > 0 ? total : 0
}
