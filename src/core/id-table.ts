/**
 * What runs at the moment, by id: the part of a Map that calls need. Not a Map, because V8 links each outgrown table of one to the next
 * ("obsolete tables" in src/objects/ordered-hash-table.h of V8): one that calls come and go in keeps them all to the next major collection.
 * See docs/adr/0008-garbage.md.
 */
export class IdTable<T> {
  /** Entries. */
  size = 0
  #entries: Record<number, T | undefined> = Object.create(null) as Record<number, T | undefined>

  get(id: number): T | undefined {
    return this.#entries[id]
  }

  has(id: number): boolean {
    return this.#entries[id] !== undefined
  }

  /** Adds an entry; the id must not be there yet. */
  add(id: number, value: T): void {
    this.#entries[id] = value
    this.size++
  }

  /** False if it was not there. */
  delete(id: number): boolean {
    if (this.#entries[id] === undefined) return false
    delete this.#entries[id]
    this.size--
    return true
  }

  /** A copy. */
  ids(): number[] {
    return Object.keys(this.#entries).map(Number)
  }
}
