import type { ChangedDescriptor } from '../mesh-api.ts'
import { plain, type Colors } from './output.ts'

/** What has changed, for one line: `description; tool say: description; tool x: new`. */
export function showWhat({ capability, tools }: ChangedDescriptor): string {
  return plain([...capability.map(({ what }) => what), ...tools.map(({ name, what }) => `tool ${name}: ${what}`)].join('; '))
}

/** What has changed, one a line, with the texts before and after where they are known. */
export function showChanges({ capability, tools }: ChangedDescriptor, colors: Colors): string[] {
  const named = [
    ...capability.map(({ what, ...texts }) => ({
      ...texts,
      title: what === 'unknown' ? 'not enough was kept to say what' : what
    })),
    ...tools.map(({ name, what, ...texts }) => ({ ...texts, title: `tool ${name}: ${what}` }))
  ]
  return named.flatMap(({ title, before, after }) => {
    const lines = [colors.yellow(plain(title))]
    // Two texts that look the same are the ones to look at twice.
    if (before !== undefined && after !== undefined && plain(before) === plain(after))
      lines.push('  differs further on than is shown here, or in characters that do not show')
    if (before !== undefined) lines.push(`  ${colors.dim('was')} ${plain(before)}`)
    if (after !== undefined) lines.push(`  ${colors.dim('now')} ${plain(after)}`)
    return lines
  })
}
