import type { EventSequence } from '../../../protocols/trigger/messages.ts'
import { createDeadlines } from './deadlines.ts'

/** How long an event that came too early waits for those before it, ms. */
export const REORDER_MS = 2_000
/** Sources and subjects whose place is remembered; past it the one that was silent longest begins anew. */
export const MAX_ORDERED_SUBJECTS = 4_096
/** Events of one subject that wait; past it the gap before them is taken as it is. */
export const MAX_HELD_OF_SUBJECT = 64
/** Events that wait in all; past it as well. */
export const MAX_HELD = 1_024

/** An event in its place. */
export interface Ordered<T> {
  item: T
  /** How many events before it did not come, or went elsewhere. */
  missing: number
  /** It comes after one that was to follow it. */
  late: boolean
}

/** Puts the events of a source and subject in their order again: holds back what comes too early, for two seconds, and loses nothing. */
export interface SubjectOrder<T> {
  /** @param key source and subject. What is let go is told to `emit`, before this returns. */
  push(key: string, sequence: EventSequence, item: T, now: number): void
  /** One that was let go has gone on. */
  begin(key: string, sequence: EventSequence): void
  /** One that was let go is to come again: it is the next again, unless one after it has gone on. @param isIn whether what waits is still to come; the rest comes again, too. */
  rewind(key: string, sequence: EventSequence, isIn: (item: T) => boolean): void
  tick(now: number): void
  /** When `tick` is next to be called; Infinity if nothing waits. */
  readonly nextAt: number
  /** Events that wait. */
  readonly held: number
  readonly size: number
}

interface Run<T> {
  incarnation: number
  /** The number that is to come next. */
  next: number
  /** Number of the last one that has gone on. */
  begun: number
  held: Map<number, { item: T; since: number }>
}

/** See {@link SubjectOrder}. */
export function createSubjectOrder<T>(emit: (key: string, ordered: Ordered<T>) => void): SubjectOrder<T> {
  /** The one that was silent longest first. */
  const runs = new Map<string, Run<T>>()
  const due = createDeadlines<string>()
  let held = 0

  function letGo(key: string, run: Run<T>, number: number, item: T): void {
    const missing = number - run.next
    run.next = number + 1
    emit(key, { item, missing, late: false })
  }

  /** What now follows without a gap. */
  function follow(key: string, run: Run<T>): void {
    for (let found = run.held.get(run.next); found !== undefined; found = run.held.get(run.next)) {
      run.held.delete(run.next)
      held--
      letGo(key, run, run.next, found.item)
    }
    schedule(key, run)
  }

  function schedule(key: string, run: Run<T>): void {
    due.delete(key)
    if (run.held.size > 0) due.set(key, Math.min(...[...run.held.values()].map(({ since }) => since)) + REORDER_MS)
  }

  /** Takes the gap before what is held as it is. */
  function skip(key: string, run: Run<T>): void {
    const number = Math.min(...run.held.keys())
    const { item } = run.held.get(number)!
    run.held.delete(number)
    held--
    letGo(key, run, number, item)
    follow(key, run)
  }

  function beginRun(key: string, { incarnation, number }: EventSequence): Run<T> {
    const run: Run<T> = { incarnation, next: number, begun: number - 1, held: new Map() }
    runs.set(key, run)
    // There are fewer events that wait than subjects: one that has none is always found.
    if (runs.size > MAX_ORDERED_SUBJECTS)
      for (const [old, { held: waits }] of runs) if (waits.size === 0 && runs.delete(old)) break
    return run
  }

  return {
    push(key, sequence, item, now) {
      let run = runs.get(key)
      if (run !== undefined && sequence.incarnation > run.incarnation) {
        while (run.held.size > 0) skip(key, run)
        run = undefined
      }
      runs.delete(key)
      if (run === undefined) run = beginRun(key, sequence)
      else runs.set(key, run)
      if (sequence.incarnation < run.incarnation || sequence.number < run.next || run.held.has(sequence.number))
        return emit(key, { item, missing: 0, late: true })
      if (sequence.number === run.next) {
        letGo(key, run, sequence.number, item)
        return follow(key, run)
      }
      run.held.set(sequence.number, { item, since: now })
      held++
      schedule(key, run)
      if (run.held.size > MAX_HELD_OF_SUBJECT) skip(key, run)
      while (held > MAX_HELD) skip(due.first!, runs.get(due.first!)!)
    },
    begin(key, { incarnation, number }) {
      const run = runs.get(key)
      if (run?.incarnation === incarnation) run.begun = Math.max(run.begun, number)
    },
    rewind(key, { incarnation, number }, isIn) {
      const run = runs.get(key)
      if (run?.incarnation !== incarnation) return
      const again = number < run.begun ? run.begun + 1 : number
      if (again >= run.next) return
      run.next = again
      run.begun = again - 1
      for (const [at, { item }] of run.held) if (!isIn(item) && run.held.delete(at)) held--
      schedule(key, run)
    },
    tick(now) {
      while (due.nextAt <= now) skip(due.first!, runs.get(due.first!)!)
    },
    get nextAt() {
      return due.nextAt
    },
    get held() {
      return held
    },
    get size() {
      return runs.size
    }
  }
}
