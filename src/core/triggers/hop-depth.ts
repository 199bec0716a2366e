import { MAX_HOP_DEPTH } from '../../../protocols/trigger/messages.ts'

/**
 * How deep an event is that is raised while another is handled, so that events cannot raise each other without end.
 * @param parent depth of that other one; undefined if there is none.
 * @returns undefined if it is too deep: it goes nowhere.
 */
export function hopDepthAfter(parent: number | undefined): number | undefined {
  const depth = parent === undefined ? 0 : parent + 1
  return depth < MAX_HOP_DEPTH ? depth : undefined
}
