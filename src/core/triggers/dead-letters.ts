/** Most dead letters that are kept; past it the oldest goes. */
export const MAX_DEAD_LETTERS = 1_000
/** Their bytes; past it as well. */
export const MAX_DEAD_LETTER_BYTES = 64 * 1024 * 1024

/** An event that nobody did. */
export interface DeadLetter<E> {
  event: E
  /** Its time was over; a handler refused it, or failed too often; others that were more urgent took its place; no answer came to one that is sent once. */
  reason: 'expired' | 'failed' | 'full' | 'unanswered'
  /** Of the last failure, if there was one. */
  code?: string | undefined
  message?: string | undefined
  /** Who has done it, of several. */
  handled: string[]
}

/** Events that nobody did, until somebody looks at them. */
export interface DeadLetters<E> {
  add(letter: DeadLetter<E>): void
  get(id: string): DeadLetter<E> | undefined
  delete(id: string): boolean
  /** The oldest first. */
  all(): DeadLetter<E>[]
}

/** @param onErased told of those that had to go. */
export function createDeadLetters<E extends { id: string; bytes: number }>(onErased: (id: string) => void): DeadLetters<E> {
  const letters = new Map<string, DeadLetter<E>>()
  let bytes = 0

  function remove(id: string): boolean {
    bytes -= letters.get(id)?.event.bytes ?? 0
    return letters.delete(id)
  }

  return {
    add(letter) {
      const { id } = letter.event
      remove(id)
      letters.set(id, letter)
      bytes += letter.event.bytes
      while (letters.size > MAX_DEAD_LETTERS || bytes > MAX_DEAD_LETTER_BYTES) {
        const oldest = letters.keys().next().value!
        remove(oldest)
        onErased(oldest)
      }
    },
    get: (id) => letters.get(id),
    delete: remove,
    all: () => [...letters.values()]
  }
}
