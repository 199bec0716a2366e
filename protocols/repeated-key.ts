/** A key that an object of JSON has twice: `JSON.parse` takes the last one, and says nothing. Pure. */

/** Characters of a key, or of what leads to it, that an error shows. */
const MAX_SHOWN = 256

/** An array or object that the scan is in. */
interface Level {
  /** Keys so far, of an object. */
  keys: Set<string> | undefined
  /** Key or index of what comes now. */
  at: string | number
  isKeyNext: boolean
}

/**
 * The first one, with a JSON Pointer to it (RFC 6901), both cut to 256 characters; undefined if each is there once. Looks at each character, which takes longer than parsing:
 * only for what is known to have one.
 * @param json is JSON.
 */
export function repeatedKey(json: string): { key: string; pointer: string } | undefined {
  const levels: Level[] = []
  for (let at = 0; at < json.length; at++) {
    const level = levels.at(-1)
    const mark = json[at]
    if (mark === '{') levels.push({ keys: new Set(), at: '', isKeyNext: true })
    else if (mark === '[') levels.push({ keys: undefined, at: 0, isKeyNext: false })
    else if (mark === '}' || mark === ']') levels.pop()
    else if (mark === ',') next(level!)
    else if (mark === '"') {
      const end = endOfText(json, at)
      if (level?.isKeyNext === true && !enter(level, JSON.parse(json.slice(at, end)) as string)) return shown(levels)
      at = end - 1
    }
  }
  return undefined
}

function next(level: Level): void {
  if (level.keys === undefined) level.at = Number(level.at) + 1
  else level.isKeyNext = true
}

/** False if it is there already. */
function enter(level: Level, key: string): boolean {
  level.at = key
  level.isKeyNext = false
  if (level.keys!.has(key)) return false
  level.keys!.add(key)
  return true
}

/** Index behind the text that begins there. */
function endOfText(json: string, start: number): number {
  let at = start + 1
  for (; json[at] !== '"'; at++) if (json[at] === '\\') at++
  return at + 1
}

function shown(levels: readonly Level[]): { key: string; pointer: string } {
  const parts = levels.map(({ at }) => String(at).slice(0, MAX_SHOWN))
  const pointer = parts.map((part) => `/${part.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
  return { key: parts.at(-1)!, pointer: pointer.slice(0, MAX_SHOWN) }
}
