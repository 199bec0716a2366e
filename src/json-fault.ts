/** Where a text stops being JSON, without a word of it: it may hold secrets, which the messages of V8 quote. Pure. */

/** @returns `line 3, column 14`, counted from 1; undefined for JSON. */
export function jsonFault(text: string): string | undefined {
  const message = parseError(text)
  if (message === undefined) return undefined
  const told = /at position (\d+)/.exec(message)?.[1]
  const at = told === undefined ? (message.startsWith(UNEXPECTED) ? unexpectedAt(text) : text.length) : Number(told)
  const before = text.slice(0, at).split('\n')
  return `line ${before.length}, column ${before.at(-1)!.length + 1}`
}

/** How V8 begins where it names no position. */
const UNEXPECTED = 'Unexpected token'

function parseError(text: string): string | undefined {
  try {
    JSON.parse(text)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** The shortest beginning that says the same is one character longer than what is right: what is merely cut off is told in other words. */
function unexpectedAt(text: string): number {
  let [right, wrong] = [0, text.length]
  while (wrong - right > 1) {
    const middle = (right + wrong) >> 1
    if (parseError(text.slice(0, middle))?.startsWith(UNEXPECTED) === true) wrong = middle
    else right = middle
  }
  return right
}
