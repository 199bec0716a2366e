/** What the files of the handlers say: what is lost, done twice, out of order, and how long it took. */
import { readFileSync } from 'node:fs'
import { quantile } from '../fleet.ts'

/** A process that was killed, on the clock of all processes. */
export interface Kill {
  name: string
  role: string
  at: number
}

/** Of the processes that are killed. */
export const ROLES = ['source', 'forwarder', 'handler'] as const

/** What a run leaves behind. Times in CLOCK_MONOTONIC ms. */
export interface Run {
  sources: string[]
  handlers: { name: string; effectsFile: string; repeatsFile: string }[]
  kills: Kill[]
  /** Of each source. */
  subjects: number
  /** Of each event, as JSON. */
  payloadBytes: number
  /** Most that a process took, in bytes. */
  rss: Record<string, number>
  /** What sources were told to fire again, and why. */
  refused: Record<string, number>
  /** Until the first kill: time of the processor that each took for an event of the run, in µs. */
  calmCpuUs: Record<string, number>
}

interface Effect {
  id: string
  source: string
  n: number
  subject: string
  firedAt: number
  doneAt: number
  pid: string
  isLate: boolean
  missing: number
}

/** The account of a run. */
export interface Account {
  pass: boolean
  [key: string]: unknown
}

/** An effect that was written so shortly before a kill counts as in flight at it, in ms: its answer was not yet on disk, or not yet at its source. */
const IN_FLIGHT_MS = 1_000

/** @param run see {@link Run}. @param events how many there were to be. */
export function accountOf(run: Run, events: number): Account {
  const { sources, handlers, kills, subjects, payloadBytes, rss, refused, calmCpuUs } = run
  const each = Math.ceil(events / sources.length)
  const times = new Map<string, number>()
  const all: Effect[] = []
  let [outOfOrder, late, missingButDone, missing, repeated, repeatedElsewhere] = [0, 0, 0, 0, 0, 0]
  for (const { name, effectsFile, repeatsFile } of handlers) {
    const effects = read(effectsFile)
    const last = new Map<string, number>()
    for (const effect of effects) {
      const key = `${effect.source} ${effect.n}`
      times.set(key, (times.get(key) ?? 0) + 1)
      const about = `${effect.source} ${effect.subject}`
      if (effect.n < (last.get(about) ?? -1)) outOfOrder++
      else last.set(about, effect.n)
      if (effect.isLate) late++
      for (let n = 1; n <= effect.missing; n++)
        if (times.has(`${effect.source} ${effect.n - n * subjects}`)) missingButDone++
        else missing++
    }
    all.push(...effects)
    const doneAt = new Map(effects.map(({ id, doneAt: at }) => [id, at]))
    for (const { id } of read(repeatsFile)) {
      repeated++
      const at = doneAt.get(id)!
      if (!kills.some((kill) => kill.name === name && kill.at >= at && kill.at - at < IN_FLIGHT_MS)) repeatedElsewhere++
    }
  }
  const expected = sources.flatMap((source) => Array.from({ length: each }, (_, n) => `${source} ${n}`))
  const lost = expected.filter((key) => !times.has(key)).length
  const twice = [...times.values()].filter((count) => count > 1).length
  const firstKill = kills[0]?.at ?? Infinity
  const calm = all.filter(({ doneAt }) => doneAt < firstKill)
  return {
    events: expected.length,
    payloadBytes,
    lost,
    twice,
    outOfOrder,
    /** As the mesh itself has told the handlers. */
    toldLate: late,
    toldMissing: missing,
    /**
     * Told as missing, but done before: `done` is answered before the disk has it, so a handler that is killed in between does not know of an event that its source
     * sends no more; where one of the same subject before that comes again, there is a gap that nothing has been lost in.
     */
    toldMissingButDone: missingButDone,
    repeats: { atKills: repeated - repeatedElsewhere, otherwise: repeatedElsewhere },
    kills: countOf(kills.map(({ name }) => name)),
    killedRoles: ROLES.filter((role) => kills.some((kill) => kill.role === role)),
    firedAgain: refused,
    calm: figuresOf(calm),
    overall: figuresOf(all),
    calmCpuUsOfEvent: { ...calmCpuUs, all: Object.values(calmCpuUs).reduce((sum, us) => sum + us, 0) },
    rssMb: Object.fromEntries(Object.entries(rss).map(([name, bytes]) => [name, Math.round(bytes / 1024 / 1024)])),
    pass:
      lost === 0 &&
      twice === 0 &&
      outOfOrder === 0 &&
      repeatedElsewhere === 0 &&
      times.size === expected.length &&
      // What is fired again has its place in the order by then: the numbers say nothing of it.
      Object.keys(refused).length === 0
  }
}

function figuresOf(effects: Effect[]): object {
  if (effects.length === 0) return { events: 0 }
  let [first, last] = [Infinity, 0]
  for (const { firedAt, doneAt } of effects) [first, last] = [Math.min(first, firedAt), Math.max(last, doneAt)]
  const waits = effects.map(({ firedAt, doneAt }) => doneAt - firedAt)
  return {
    events: effects.length,
    seconds: round((last - first) / 1_000),
    perSecond: Math.round((effects.length / (last - first)) * 1_000),
    p50Ms: round(quantile(waits, 0.5)),
    p99Ms: round(quantile(waits, 0.99))
  }
}

function read(file: string): Effect[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [id, source, n, subject, firedAt, doneAt, pid, isLate, missing] = line.split(' ')
      return {
        id: id!,
        source: source!,
        n: Number(n),
        subject: subject!,
        firedAt: Number(firedAt),
        doneAt: Number(doneAt),
        pid: pid!,
        isLate: isLate === '1',
        missing: Number(missing)
      }
    })
}

function countOf(names: string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

const round = (value: number): number => Math.round(value * 10) / 10
