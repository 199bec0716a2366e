/** What the commands print: tables and colours for people, JSON for programs. */
import { homedir } from 'node:os'
import picocolors from 'picocolors'

/** Colour functions; they do nothing where colours are off. */
export type Colors = ReturnType<typeof picocolors.createColors>

/** Where a command prints to. */
export interface Output {
  /** True with `--json`. */
  readonly json: boolean
  /** For stdout. */
  readonly colors: Colors
  /** For stderr. */
  readonly errorColors: Colors
  /** Both wait until there is room: a slow reader slows the command. */
  out(text: string): Promise<void>
  err(text: string): Promise<void>
}

/** Colours if a person looks: a TTY that is not `dumb`, and no `NO_COLOR` (https://no-color.org/). `FORCE_COLOR` overrules. */
export function wantsColor(sink: { isTTY?: boolean }, env: Record<string, string | undefined> = process.env): boolean {
  if (env['NO_COLOR']) return false
  if (env['FORCE_COLOR']) return env['FORCE_COLOR'] !== '0'
  return sink.isTTY === true && env['TERM'] !== 'dumb'
}

/** Makes the output of a command. */
export function createOutput(json: boolean): Output {
  return {
    json,
    colors: picocolors.createColors(!json && wantsColor(process.stdout)),
    errorColors: picocolors.createColors(!json && wantsColor(process.stderr)),
    out: (text) => write(process.stdout, text),
    err: (text) => write(process.stderr, text)
  }
}

/** Writes, and waits while the sink is full. */
export function write(sink: NodeJS.WritableStream, data: string | Uint8Array): Promise<void> {
  if (sink.write(data)) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      sink.off('drain', done)
      sink.off('close', done)
      resolve()
    }
    sink.on('drain', done)
    sink.on('close', done)
  })
}

// eslint-disable-next-line no-control-regex -- these are what it is for
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e0fff}]/gu

/**
 * Text from elsewhere, made safe for a terminal: control, direction, zero-width and tag characters go, so that the name of a foreign
 * node cannot move the cursor, colour the line or read as another.
 */
export function plain(text: string): string {
  return text.replace(UNSEEN, '')
}

/** Like {@link plain}, but line breaks and tabs stay: for texts of several lines. */
export function plainText(text: string): string {
  return text
    .split('\n')
    .map((line) => line.split('\t').map(plain).join('\t'))
    .join('\n')
}

/** JSON in which everything that would not show is written as an escape: for who has to see all of it. */
export function visibleJson(value: unknown, indent?: number): string {
  const escape = (character: string): string => {
    const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at).toString(16).padStart(4, '0'))
    return units.map((unit) => `\\u${unit}`).join('')
  }
  const lines = JSON.stringify(value, null, indent).split('\n')
  return lines.map((line) => line.replace(UNSEEN, escape)).join('\n')
}

/** A cell: its text, and how it looks. */
export type Cell = string | { text: string; style: (text: string) => string }

/** What a table does without where it is wider than its terminal, by the titles of its columns. */
export interface Narrowing {
  /** Left out first. */
  drop?: string
  /** Then cut, one after the other. */
  cut?: readonly string[]
}

/** Least width of the last column. */
const MIN_LAST = 12
/** Least width of others that are cut: with the mark of the cut, what a name begins with. */
const MIN_CUT = 8

/**
 * Left-aligned columns, two spaces apart; the last one is cut to `width`. Cells are made {@link plain}.
 * Wide characters count as one: they are rare in names, and a table that is a little off can still be read.
 */
export function table(
  header: string[],
  rows: Cell[][],
  colors: Colors,
  width: number = process.stdout.columns ?? Infinity,
  { drop, cut = [] }: Narrowing = {}
): string {
  const cells = rows.map((row) =>
    row.map((cell) => (typeof cell === 'string' ? { text: plain(cell), style: String } : { ...cell, text: plain(cell.text) }))
  )
  const widths = header.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => [...(row[column]?.text ?? '')].length))
  )
  const before = () => widths.slice(0, -1).reduce((sum, one) => sum + one + 2, 0)
  const last = Math.min(MIN_LAST, widths.at(-1)!)
  if (drop !== undefined && before() + last > width) {
    const dropped = header.indexOf(drop)
    const kept = <T>(row: T[]) => row.filter((_, column) => column !== dropped)
    return table(kept(header), rows.map(kept), colors, width, { cut })
  }
  for (const title of cut) {
    const column = header.indexOf(title)
    const over = Math.max(0, before() + last - width)
    widths[column] = Math.max(Math.min(MIN_CUT, widths[column]!), widths[column]! - over)
  }
  const cutTo = (room: number, text: string) => ([...text].length > room ? `${[...text].slice(0, room - 1).join('')}…` : text)
  const line = (row: { text: string; style: (text: string) => string }[]) =>
    row
      .map(({ text, style }, column) => {
        if (column === row.length - 1) return style(cutTo(Math.max(MIN_LAST, width - before()), text))
        const shown = cutTo(widths[column]!, text)
        return style(shown) + ' '.repeat(widths[column]! - [...shown].length + 2)
      })
      .join('')
      .trimEnd()
  return `${[header.map((text) => ({ text: text.toUpperCase(), style: colors.dim })), ...cells].map(line).join('\n')}\n`
}

/** `850 µs`, `12 ms`, `3.4 s`, `2 min 5 s`, `3 h 12 min`, `4 d 2 h`. */
export function showDuration(ms: number): string {
  if (ms < 1) return `${Math.round(ms * 1000)} µs`
  if (ms < 1000) return `${ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`
  const seconds = ms / 1000
  if (seconds < 60) return `${Number(seconds.toFixed(1))} s`
  const units: [number, string, number, string][] = [
    [86_400, 'd', 3_600, 'h'],
    [3_600, 'h', 60, 'min'],
    [60, 'min', 1, 's']
  ]
  for (const [large, name, small, smallName] of units) {
    if (seconds >= large) return `${Math.floor(seconds / large)} ${name} ${Math.floor((seconds % large) / small)} ${smallName}`
  }
  return `${seconds} s`
}

/** `17 B`, `4.2 kB`, `1.3 MB`: decimal units. */
export function showBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  const exponent = Math.min(4, Math.floor(Math.log10(bytes) / 3))
  return `${Number((bytes / 1000 ** exponent).toFixed(1))} ${['B', 'kB', 'MB', 'GB', 'TB'][exponent]}`
}

/** A path with the home directory as `~`. */
export function showPath(path: string): string {
  const home = homedir()
  return path === home || path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path
}

/** A JSON value for people, indented. A terminal gets it made safe, a file or a program as it is. */
export function showJson(value: unknown, terminal: boolean = process.stdout.isTTY === true): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2)
  return terminal ? plainText(text) : text
}
