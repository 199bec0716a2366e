import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string } }[]
  samples: number[]
  timeDeltas: number[]
}

const ROWS = 18

/** Whose code it is: a package, a part of ours, or the engine. */
function owner(url: string, functionName: string): string {
  const inPackages = url.split('/node_modules/').at(-1)
  if (url.includes('/node_modules/') && !url.includes('/atmosphere-bench/')) {
    return inPackages?.match(/^(@[^/]+\/[^/]+|[^/]+)/)?.[0] ?? 'packages'
  }
  if (url.includes('/dist/')) return `atmosphere ${url.split('/dist/')[1]?.split('/').slice(0, 3).join('/') ?? ''}`
  if (url.startsWith('node:')) return `node ${url.split('/')[0]?.slice(5) ?? ''}`
  if (url === '') return functionName.startsWith('(') ? functionName : 'native (system calls, crypto)'
  return 'the benchmark itself'
}

/** Where the CPU time of the profiles of a folder went, by owner and by function: share of all samples but idle ones. */
export function profileTable(folder: string): string {
  const self = new Map<string, number>()
  const functions = new Map<string, number>()
  let total = 0
  for (const name of readdirSync(folder).filter((entry) => entry.endsWith('.cpuprofile'))) {
    const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile
    const owners = new Map(nodes.map(({ id, callFrame }) => [id, owner(callFrame.url, callFrame.functionName)]))
    const names = new Map(
      nodes.map(({ id, callFrame: { functionName, url } }) => [id, `${functionName || '(anonymous)'}  ${shortUrl(url)}`])
    )
    samples.forEach((id, n) => {
      const key = owners.get(id) ?? '(program)'
      if (key === '(idle)' || key === '(root)') return
      self.set(key, (self.get(key) ?? 0) + (timeDeltas[n] ?? 0))
      functions.set(names.get(id) ?? '', (functions.get(names.get(id) ?? '') ?? 0) + (timeDeltas[n] ?? 0))
      total += timeDeltas[n] ?? 0
    })
  }
  const rows = (shares: Map<string, number>): string[] =>
    [...shares]
      .sort(([, a], [, b]) => b - a)
      .slice(0, ROWS)
      .map(([key, us]) => `${((100 * us) / total).toFixed(1).padStart(6)} %  ${key}`)
  return ['by owner:', ...rows(self), '', 'by function:', ...rows(functions)].join('\n')
}

function shortUrl(url: string): string {
  return url.replace(/^.*\/node_modules\//, '').replace(/^.*\/dist\/(src|protocols)\//, '$1/')
}
