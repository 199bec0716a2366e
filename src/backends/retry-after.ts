/** Longest time that a server is believed, in ms: an hour. */
export const MAX_RETRY_AFTER_MS = 3_600_000

/** How long a server wants to be left alone, in ms, by its header `retry-after` (RFC 9110, 10.2.3): seconds or a date. Undefined if it does not say. */
export function retryAfterMsOf(headers: Headers, nowMs: number): number | undefined {
  const text = headers.get('retry-after')?.trim() ?? ''
  const ms = /^\d{1,10}$/.test(text) ? Number(text) * 1_000 : text === '' ? NaN : Date.parse(text) - nowMs
  return ms > 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : undefined
}
