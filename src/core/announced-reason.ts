/** What other nodes are told of why a capability is as it is: not where things lie on this machine, nor what its variables are called. */
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { CapabilityView } from '../mesh-api.ts'

/** What is left out, and what stands there then. The order matters: names in quotes come first, since they may hold blanks. */
const LOCAL: readonly [RegExp, string][] = [
  [/\b(file|folder|device|certificate) "[^"]*"/g, '$1 …'],
  [/\b(program|command|player) "[^"]*[/\\][^"]*"/g, '$1 …'],
  [/(["'])(?:~|\.{1,2})?\/[^"']*\1/g, '…'],
  [/\bfile:\/\/\S+/g, '…'],
  [/(^|[\s("'=[,])(?:~|\.{1,2})?\/[^\s"',;)\]]+/g, '$1…'],
  [/(^|[\s("'=[,])[A-Za-z]:\\[^\s"',;)\]]+/g, '$1…'],
  [/\bvariable (?!(?:is|holds) )"?[A-Za-z_]\w*"?/g, 'variable …']
]

/** The reason without paths and names of variables of this machine. */
export function announcedReason(reason: string): string {
  return LOCAL.reduce((text, [what, instead]) => text.replace(what, instead), reason)
}

/** A declaration as it is announced. */
export function announcedDeclaration(declaration: CapabilityDeclaration): CapabilityDeclaration {
  const { statusReason } = declaration
  return statusReason === undefined ? declaration : { ...declaration, statusReason: announcedReason(statusReason) }
}

/** What is known of capabilities, with the whole reason where they are of this node: whoever reads it here is its owner. */
export function withOwnReasons(
  views: CapabilityView[],
  own: (capability: string) => CapabilityDeclaration | undefined
): CapabilityView[] {
  return views.map((view) => {
    const statusReason = view.local ? own(view.id)?.statusReason : undefined
    return statusReason === undefined || view.statusReason === undefined ? view : { ...view, statusReason }
  })
}
