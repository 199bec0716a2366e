/** What to say where no capability fits: each filter that nothing has may be mistyped. */
import { matchGlob } from '../../protocols/glob.ts'
import { nodesCalled } from '../../protocols/named-node.ts'
import { nearest } from '../../protocols/nearest.ts'
import type { CapabilityQuery, CapabilityView } from '../mesh-api.ts'
import { plain } from './output.ts'

/** For a filter: what there is, and whether something has what is asked for. */
const FILTERS = {
  id: { names: ({ id }) => [id], fits: same },
  type: { names: ({ type }) => [type], fits: matchGlob },
  domain: { names: ({ type }) => type.split('/'), fits: same },
  tool: { names: ({ tools }) => tools.map(({ name }) => name), fits: same },
  trigger: { names: ({ triggers }) => triggers.map(({ event }) => event), fits: same },
  keyword: { names: ({ keywords = [] }) => keywords, fits: same },
  node: { names: ({ nodeName }) => [nodeName], fits: same }
} satisfies {
  [key in keyof CapabilityQuery]?: {
    names(one: CapabilityView): readonly string[]
    fits(given: string, name: string): boolean
  }
}

function same(given: string, name: string): boolean {
  return given === name
}

/** A line for each filter that nothing here has, with what was probably meant; none where it is their combination that nothing has. */
export function nearCapabilities(query: CapabilityQuery, all: readonly CapabilityView[]): string[] {
  return Object.entries(FILTERS).flatMap(([key, { names, fits }]) => {
    const given = query[key as keyof typeof FILTERS]
    if (given === undefined || (key === 'node' && nodesCalled(all, given).length > 0)) return []
    const known = [...new Set(all.flatMap(names))]
    if (known.some((name) => fits(given, name))) return []
    const near = nearest(given, known)
    const hint = near === undefined ? '' : `; did you mean "${plain(near)}"?`
    return [`nothing has the ${key} "${plain(given)}"${hint}`]
  })
}
