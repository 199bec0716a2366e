import { shownText } from '../../model-tools/shown-text.ts'
import type { CallItem } from '../../mesh-api.ts'

/** Time after which a client is told that a call still runs, in ms: many give up what they hear nothing of for 60 s. */
export const PROGRESS_HEARTBEAT_MS = 15_000
/** Shortest time between two reports of one call, in ms; what comes in between is told with the next. */
export const MIN_PROGRESS_MS = 50
const MAX_MESSAGE = 256
/** What a heartbeat adds, as part of what there is: MCP wants each report above the one before. */
const NUDGE = 1e-6

/** A report of `notifications/progress`, without its token. */
export interface ProgressReport {
  progress: number
  total?: number
  message?: string
}

/** What a client hears of one call while it runs. */
export interface CallProgress {
  /** Takes an item of the call. */
  item(item: CallItem): void
  /** The call is over: nothing more is told. */
  end(): void
}

/** What it needs. Times are for tests. */
export interface CallProgressInit {
  tell(report: ProgressReport): void
  /** Monotonic, in ms. */
  now(): number
  heartbeatMs?: number
}

/**
 * Reports of a tool pass as they are, if they go up; one that only yields items is reported by their number, with the text of the last. Reports never go down:
 * where a call begins anew at another provider they wait until it has come as far.
 */
export function createCallProgress({ tell, now, heartbeatMs = PROGRESS_HEARTBEAT_MS }: CallProgressInit): CallProgress {
  let told = 0
  let toldAt = -Infinity
  let items = 0
  let reports = false
  let pending: ProgressReport | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let over = false
  const startedAt = now()

  function arm(): void {
    clearTimeout(timer)
    if (over) return
    const waitMs = pending === undefined ? heartbeatMs : Math.max(0, toldAt + MIN_PROGRESS_MS - now())
    timer = setTimeout(() => flush(pending ?? heartbeat()), waitMs)
  }

  function flush(report: ProgressReport): void {
    pending = undefined
    told = report.progress
    toldAt = now()
    tell(report)
    arm()
  }

  function heartbeat(): ProgressReport {
    return { progress: told + Math.max(told, 1) * NUDGE, message: `running for ${Math.round((now() - startedAt) / 1_000)} s` }
  }

  function offer(report: ProgressReport): void {
    if (over || !(report.progress > told)) return
    pending = report
    if (now() - toldAt >= MIN_PROGRESS_MS) flush(report)
    else arm()
  }

  arm()
  return {
    item(item) {
      if (item.kind === 'progress') {
        const { done, total, message } = item.progress
        reports = true
        const text = message === undefined ? {} : { message: shownText(message, MAX_MESSAGE) }
        offer({ progress: done, ...(total !== undefined && { total }), ...text })
      } else if (item.kind === 'json' && !reports) offer({ progress: ++items, message: textOf(item.value) })
      else if (item.kind === 'bytes' && !reports) offer({ progress: ++items, message: `${item.bytes.byteLength} bytes` })
    },
    end() {
      over = true
      clearTimeout(timer)
    }
  }
}

function textOf(value: unknown): string {
  return shownText(typeof value === 'string' ? value : JSON.stringify(value), MAX_MESSAGE)
}
