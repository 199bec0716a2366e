/** Gets llama.cpp for Node from the npm registry, once, into a cache of this user: it is too large to be a dependency of the project. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { showDuration } from '../../../src/cli/output.ts'
import { DemoError, check, type Programs } from '../programs.ts'

const VERSION = '3.22.1'
/** Prebuilt binaries without a GPU, by `process.platform` and `process.arch`. */
const BINARIES: Record<string, string> = {
  'linux x64': 'linux-x64',
  'linux arm64': 'linux-arm64',
  'linux arm': 'linux-armv7l',
  'darwin arm64': 'mac-arm64-metal',
  'darwin x64': 'mac-x64'
}
const INSTALL_MS = 10 * 60_000

/** Where it is kept, and its entry file there. */
function place(): { cache: string; folder: string; entry: string } {
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'atmosphere')
  const folder = join(cache, `node-llama-cpp-${VERSION}`)
  return { cache, folder, entry: join(folder, 'node_modules/node-llama-cpp/dist/index.js') }
}

/** Entry file of node-llama-cpp, if it has been installed before. */
export function installedLlama(): string | undefined {
  const { entry } = place()
  return existsSync(entry) ? entry : undefined
}

/** @returns entry file of node-llama-cpp. Says what it does. @throws DemoError that says why it cannot, and what else there is. */
export async function installLlama(programs: Programs, say: (text: string) => void): Promise<string> {
  const otherwise = 'or give a server of chat completions with --llm URL'
  const binary = BINARIES[`${process.platform} ${process.arch}`]
  check(binary, `there is no llama.cpp for ${process.platform} on ${process.arch}; ${otherwise}`)
  const { cache, folder, entry } = place()
  if (existsSync(entry)) {
    say(`llama.cpp (node-llama-cpp ${VERSION}) is in ${folder}`)
    return entry
  }
  say(`llama.cpp (node-llama-cpp ${VERSION}) is fetched from the npm registry, 85 MB, once, into ${folder}`)
  await mkdir(cache, { recursive: true })
  const own = await mkdtemp(`${folder}-`)
  try {
    await writeFile(join(own, 'package.json'), '{}\n')
    const startedAt = performance.now()
    const packages = [`node-llama-cpp@${VERSION}`, `@node-llama-cpp/${binary}@${VERSION}`]
    // Its install script would compile llama.cpp, and its optional packages are binaries for other machines, of 600 MB.
    const flags = ['--no-save', '--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund', '--loglevel=error']
    const npm = npmCommand()
    const args = [...npm.args, 'install', '--prefix', own, ...flags, ...packages]
    const install = programs.start('npm', args, { command: npm.command, silent: true })
    const { code } = await install.ended(INSTALL_MS)
    check(code === 0, `npm cannot install node-llama-cpp (exit code ${code}): ${install.stderr()}; ${otherwise}`)
    // Another demo may have been first.
    await rename(own, folder).catch((error: unknown) => {
      if (!existsSync(entry)) throw new DemoError(`${folder} cannot be made: ${(error as Error).message}`)
    })
    say(`installed in ${showDuration(performance.now() - startedAt)}`)
    return entry
  } finally {
    await rm(own, { recursive: true, force: true })
  }
}

/** The npm that runs this demo, if one does, else that of this Node. */
export function npmCommand(): { command: string; args: string[] } {
  const script = process.env['npm_execpath']
  if (script !== undefined && /npm-cli\.js$/.test(script)) return { command: process.execPath, args: [script] }
  const beside = join(dirname(process.execPath), 'npm')
  return { command: existsSync(beside) ? beside : 'npm', args: [] }
}
