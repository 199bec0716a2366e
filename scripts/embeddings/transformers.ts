/**
 * The package `@huggingface/transformers` for tests and benchmarks: with what it brings it has 475 MB, too much for everybody who runs `npm ci`. `npx tsx scripts/embeddings/transformers.ts`
 * installs it once, into a cache of this user, without its install scripts: those download parts for graphics cards.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { TransformersModule } from '../../src/node-transformers.ts'
import { npmCommand } from '../demo/security/llama-install.ts'

const VERSION = '4.3.2'
const INSTALL_MS = 5 * 60_000

function place(): { cache: string; folder: string; entry: string } {
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'atmosphere')
  const folder = join(cache, `transformers-${VERSION}`)
  return { cache, folder, entry: join(folder, 'node_modules/@huggingface/transformers/dist/transformers.node.mjs') }
}

/** Loads it, if it has been installed before. */
export function installedTransformers(): (() => Promise<TransformersModule>) | undefined {
  const { entry } = place()
  return existsSync(entry) ? () => import(pathToFileURL(entry).href) as Promise<TransformersModule> : undefined
}

/** Installs it, unless that has been done. @throws Error that says why it cannot. */
export function installTransformers(): void {
  const { cache, folder, entry } = place()
  if (existsSync(entry)) return
  mkdirSync(cache, { recursive: true })
  const own = mkdtempSync(`${folder}-`)
  try {
    writeFileSync(join(own, 'package.json'), '{}\n')
    const npm = npmCommand()
    const flags = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
    const args = [...npm.args, 'install', '--prefix', own, ...flags, `@huggingface/transformers@${VERSION}`]
    const { status, stderr } = spawnSync(npm.command, args, { encoding: 'utf8', timeout: INSTALL_MS })
    if (status !== 0) throw new Error(`npm cannot install @huggingface/transformers (exit code ${status}): ${stderr}`)
    renameSync(own, folder)
  } finally {
    rmSync(own, { recursive: true, force: true })
  }
}

if (import.meta.filename === process.argv[1]) {
  installTransformers()
  console.log(`@huggingface/transformers ${VERSION} is in ${place().folder}`)
}
