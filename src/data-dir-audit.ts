/**
 * The audit log of a node in its data directory: three logs, each chained by hashes and rotated for itself, so that what others can cause as often
 * as they like never pushes out what was decided here. Node only.
 */
import type { Audit, AuditEvent } from './core/audit.ts'
import { hashOf, readChain, type ChainCheck, type ChainLine } from './data-dir-chain.ts'
import { openChainLog } from './data-dir-chain-writer.ts'

/**
 * The logs by the names of their files: calls, served and sent; what nodes cause without a yes of this one (they are refused, renew, change their descriptions);
 * what was decided (the mesh that is made or left, joins, invites, doors, revocations, treaties, approvals). A cause comes before what it leads to.
 */
const LOGS = ['audit.calls', 'audit.others', 'audit'] as const

type LogName = (typeof LOGS)[number]

/** Which log an event is kept in; all others are decisions. */
const LOG_OF: Partial<Record<AuditEvent['event'], LogName>> = {
  call: 'audit.calls',
  sent: 'audit.calls',
  stranger: 'audit.others',
  'join-refused': 'audit.others',
  renew: 'audit.others',
  'descriptor-changed': 'audit.others'
}

/** A line of one of the logs. */
export interface AuditLine extends ChainLine {
  /** Which one, as its files are called. */
  log: string
}

/** An open log. */
export interface AuditLog {
  record: Audit
  /** Resolves when all that was recorded is on disk, or could not be written. */
  flush(): Promise<void>
}

/** What a check of the log says. */
export interface AuditCheck extends Omit<ChainCheck, 'lines'> {
  lines: AuditLine[]
}

/** What is kept beside what happened. */
export interface AuditOptions {
  /** Also the arguments of calls, up to {@link MAX_AUDITED_ARGUMENTS} each. Default: their digests alone. */
  arguments?: boolean
}

/** Longest arguments of a call that are kept whole where that is asked for, in bytes of JSON; of longer ones the digest and the size. */
export const MAX_AUDITED_ARGUMENTS = 16 * 1024

/** Lines of the log of calls are written so long after they happened at most, in ms, many together: a node that is killed keeps none of these last ones. All others are written at once. */
export const GATHER_CALLS_MS = 50

/** Goes on with the log of the directory. @param onTrouble told once when a file cannot be written, and again after it could. */
export async function openAuditLog(
  dir: string,
  onTrouble: (message: string) => void,
  now: () => Date = () => new Date(),
  { arguments: keepsArguments = false }: AuditOptions = {}
): Promise<AuditLog> {
  const logs = new Map(
    await Promise.all(
      LOGS.map(async (name) => {
        const gatherMs = name === 'audit.calls' ? GATHER_CALLS_MS : 0
        return [name, await openChainLog({ dir, name, now, gatherMs, onTrouble })] as const
      })
    )
  )
  return {
    record(event) {
      const { entry, bytes } = withDigest(event, keepsArguments)
      logs.get(LOG_OF[event.event] ?? 'audit')!.append({ at: now().toISOString(), ...entry }, bytes)
    },
    flush: async () => void (await Promise.all([...logs.values()].map((log) => log.flush())))
  }
}

/** Records what happens while no node runs on the directory, whose lock the caller has. What keeps the log from being written, the next start tells. */
export async function recordAlone(dir: string, event: AuditEvent): Promise<void> {
  try {
    const log = await openAuditLog(dir, () => undefined)
    log.record(event)
    await log.flush()
  } catch {
    // What was done is done.
  }
}

/** An input of megabytes must not wait to be written. @returns also how many bytes of it do. */
function withDigest(
  event: AuditEvent,
  keepsArguments: boolean
): { entry: Omit<AuditEvent, 'input'> & Record<string, unknown>; bytes: number } {
  if (!('input' in event)) return { entry: event, bytes: 0 }
  const { input, ...rest } = event
  const text = JSON.stringify(input ?? null)
  const entry = { ...rest, inputSha256: hashOf(text) }
  if (!keepsArguments) return { entry, bytes: 0 }
  const bytes = Buffer.byteLength(text)
  if (bytes > MAX_AUDITED_ARGUMENTS) return { entry: { ...entry, argumentsTooLong: bytes }, bytes: 0 }
  // As it was: whoever called may change its own.
  return { entry: { ...entry, arguments: JSON.parse(text) as unknown }, bytes }
}

/** All lines that are kept, the oldest first, and whether they are as they were written. */
export async function readAuditLog(dir: string): Promise<AuditCheck> {
  const checks = await Promise.all(LOGS.map((name) => readChain(dir, name)))
  return {
    lines: merged(checks.map(({ lines }, index) => lines.map((line) => ({ log: LOGS[index]!, ...line })))),
    broken: checks.map(({ broken }) => broken).find((broken) => broken !== undefined),
    torn: checks.some(({ torn }) => torn)
  }
}

/** By time; the lines of one log stay in their order, whatever the clock did. */
function merged(logs: readonly (readonly AuditLine[])[]): AuditLine[] {
  const at = logs.map(() => 0)
  const lines: AuditLine[] = []
  for (;;) {
    const next = logs.map((log, index) => log[at[index]!])
    const [first] = next.filter((line) => line !== undefined).sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
    if (first === undefined) return lines
    lines.push(first)
    at[next.indexOf(first)]!++
  }
}
