/** Longest pattern, in code points as JSON Schema counts them; a longer one fits nothing. */
export const MAX_PATTERN = 256

/**
 * Glob over paths: `*` is any text within a segment, `**` any text across segments, `?` one character. Everything else is literal.
 * Linear in pattern times path: no regular expression is built from a caller's text.
 */
export function matchGlob(pattern: string, path: string): boolean {
  return match(pattern, path, '/')
}

/** Glob over plain names: `*` is any text, `?` one character, slashes as well. As linear. */
export function matchName(pattern: string, name: string): boolean {
  return match(pattern, name, undefined)
}

function match(pattern: string, path: string, separator: string | undefined): boolean {
  if (pattern.length > MAX_PATTERN && [...pattern.slice(0, 2 * MAX_PATTERN + 1)].length > MAX_PATTERN) return false
  // reach[j]: the pattern read so far can end after j characters of the path.
  let reach = new Array<boolean>(path.length + 1).fill(false)
  reach[0] = true
  for (let i = 0; i < pattern.length; i++) {
    const next = new Array<boolean>(path.length + 1).fill(false)
    if (pattern[i] === '*') {
      const across = pattern[i + 1] === '*'
      if (across) i++
      let open = false
      for (let j = 0; j <= path.length; j++) {
        open = reach[j]! || (open && (across || path[j - 1] !== separator))
        next[j] = open
      }
    } else {
      for (let j = 0; j < path.length; j++) {
        if (reach[j]! && (pattern[i] === path[j] || (pattern[i] === '?' && path[j] !== separator))) next[j + 1] = true
      }
    }
    reach = next
  }
  return reach[path.length]!
}
