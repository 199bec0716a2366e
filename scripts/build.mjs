// Compiles src and protocols into dist and makes the command executable. Plain JavaScript: `npm ci` runs it in a bare checkout.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const command = join(root, 'dist/src/cli/main.js')

let tsc
try {
  tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')
} catch {
  // `npm ci --omit=dev`: nothing can be compiled, and what is already built may be used.
  console.error('build: TypeScript is not installed (--omit=dev?), nothing compiled')
  process.exit(existsSync(command) ? 0 : 1)
}

if (process.argv.includes('--clean')) rmSync(join(root, 'dist'), { recursive: true, force: true })
const { status } = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit', cwd: root })
if (existsSync(command)) chmodSync(command, 0o755)
process.exit(status ?? 1)
