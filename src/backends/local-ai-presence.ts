/** Which servers count as there: one that nobody listens for any more is gone at once, one that is merely silent stays for a while, since it may be loading a model. */
import type { FoundServer, Sighting } from './local-ai-servers.ts'

/** Looks that a server may be silent for. */
export const MAX_MISSES = 3

/** See {@link createPresence}. */
export interface Presence {
  /** The servers after a look; `problem`: what it was seen with last. @param isBusy whether calls run at the server of an address: it is silent because of them. */
  after(sightings: readonly Sighting[], isBusy: (url: string) => boolean): { server: FoundServer; problem?: string }[]
}

/** Makes one that remembers the looks before. */
export function createPresence(): Presence {
  const known = new Map<string, { server: FoundServer; misses: number }>()
  return {
    after: (sightings, isBusy) =>
      sightings.flatMap((sighting) => {
        const { url } = sighting
        const before = known.get(url)
        if (sighting.saw === 'server' && (sighting.server.problem === undefined || before === undefined)) {
          known.set(url, { server: sighting.server, misses: 0 })
          return [{ server: sighting.server }]
        }
        const problem = problemOf(sighting)
        if (before !== undefined && problem !== undefined && !isBusy(url)) before.misses++
        if (before === undefined || problem === undefined || before.misses >= MAX_MISSES) {
          known.delete(url)
          return []
        }
        return [{ server: before.server, problem }]
      })
  }
}

/** Why it may be there all the same. */
function problemOf(sighting: Sighting): string | undefined {
  if (sighting.saw === 'silent') return `its server is silent: ${sighting.because}`
  return sighting.saw === 'server' ? `its server does not list its models: ${sighting.server.problem}` : undefined
}
