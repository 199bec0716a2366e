import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { ENTRY_VARIABLE } from './entry.ts'

/**
 * Compiles the processes of a benchmark to plain JavaScript, and the package itself by `npm run build`.
 * Everything measured then runs under bare Node: tsx keeps function names by a call around every closure, which costs
 * most in the code with the most closures, ours.
 * @returns the compiled file of each entry.
 */
export async function bundle(root: string, entries: string[]): Promise<Record<string, string>> {
  const outdir = join(root, 'node_modules/.cache/atmosphere-bench')
  rmSync(outdir, { recursive: true, force: true })
  const common = { bundle: true, packages: 'external', platform: 'node', format: 'esm', target: 'node20' } as const
  await build({
    ...common,
    absWorkingDir: root,
    entryPoints: entries,
    outdir,
    outExtension: { '.js': '.mjs' },
    outbase: 'scripts/bench'
  })
  return Object.fromEntries(
    entries.map((entry) => [entry, join(outdir, entry.replace('scripts/bench/', '').replace(/\.ts$/, '.mjs'))])
  )
}

/** Builds the package, so that what is measured is what is in the tree. False if it does not compile. */
export function buildPackage(root: string): boolean {
  const { status } = spawnSync(process.execPath, [join(root, 'scripts/build.mjs')], { stdio: ['ignore', 2, 2] })
  process.env[ENTRY_VARIABLE] = pathToFileURL(join(root, 'dist/src/index.js')).href
  return status === 0
}
