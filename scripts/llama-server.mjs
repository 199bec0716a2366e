// Installs `llama-server` of llama.cpp beside the system, for tests with a real engine. Debian has it since the release after 13: its package and the
// libraries that it needs (12 MB) are fetched from "testing" by apt, which checks their signatures, and unpacked into a folder of their own; nothing of
// the system is replaced. A launcher starts it with those libraries.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PACKAGE = 'llama.cpp-tools'
const SUITE = 'testing'
const KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg'
const FOLDER = '/opt/atmosphere-llama.cpp'
const LAUNCHER = '/usr/local/bin/llama-server'
const TIMEOUT_MS = 180_000
/** The part that computes, as every processor of its kind can run it: it is small models that tests have. */
const PLAIN_PARTS = ['libggml-cpu-x64.so', 'libggml-cpu-armv8.0_1.so']

/** Installs it; needs the rights of root. @returns whether it is there now. */
export function installLlamaServer() {
  const work = mkdtempSync(join(tmpdir(), 'atmo-llama-'))
  try {
    const sites = run('apt-get', ['--no-release-info', 'indextargets', '--format', '$(SITE)']) ?? ''
    // Where this machine gets Debian from, whether it has looked there before or not.
    const site = sites.split('\n').find((one) => /\/debian\/?$/.test(one))
    if (!site || !existsSync(KEYS)) return false
    fetchPackages(work, site)
    const root = join(work, 'root')
    for (const file of readdirSync(join(work, 'cache/archives')).filter((name) => name.endsWith('.deb')))
      if (run('dpkg-deb', ['-x', join(work, 'cache/archives', file), root]) === undefined) return false
    const libraries = librariesIn(root)
    if (libraries === undefined) return false
    rmSync(FOLDER, { recursive: true, force: true })
    mkdirSync('/opt', { recursive: true })
    if (run('mv', [root, FOLDER]) === undefined) return false
    writeFileSync(`${LAUNCHER}.new`, launcher(join(FOLDER, libraries.folder), libraries))
    chmodSync(`${LAUNCHER}.new`, 0o755)
    renameSync(`${LAUNCHER}.new`, LAUNCHER)
    return run(LAUNCHER, ['--version']) !== undefined
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** By an apt that knows of no installed package, so that it fetches all that is needed. */
function fetchPackages(work, site) {
  for (const folder of ['state/lists/partial', 'cache/archives/partial', 'root'])
    mkdirSync(join(work, folder), { recursive: true })
  writeFileSync(join(work, 'state/status'), '')
  writeFileSync(join(work, 'sources.list'), `deb [signed-by=${KEYS}] ${site} ${SUITE} main\n`)
  const options = {
    'Dir::State': join(work, 'state'),
    'Dir::State::status': join(work, 'state/status'),
    'Dir::Cache': join(work, 'cache'),
    'Dir::Etc::sourcelist': join(work, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'APT::Install-Recommends': 'false',
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none'
  }
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  run('apt-get', [...flags, '-qq', 'update'])
  run('apt-get', [...flags, '-qq', '-y', '--download-only', 'install', PACKAGE])
}

/** The folder of libraries of the one architecture that is there, its loader, and the part that computes. */
function librariesIn(root) {
  const base = join(root, 'usr/lib')
  for (const name of existsSync(base) ? readdirSync(base) : []) {
    const parts = join(base, name, 'ggml/backends0')
    const loader = existsSync(parts) && readdirSync(join(base, name)).find((file) => /^ld-linux.*\.so\.\d+$/.test(file))
    const part = loader && PLAIN_PARTS.find((file) => existsSync(join(parts, file)))
    if (part) return { folder: join('usr/lib', name), loader, part }
  }
  return undefined
}

function launcher(libraries, { loader, part }) {
  const command = `${libraries}/${loader} --library-path ${libraries}:${libraries}/llama ${FOLDER}/usr/bin/llama-server`
  return `#!/bin/sh\nGGML_BACKEND_PATH=${libraries}/ggml/backends0/${part} exec ${command} "$@"\n`
}

function run(command, args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const { status, stdout } = spawnSync(command, args, { stdio: ['ignore', 'pipe', 'inherit'], env, timeout: TIMEOUT_MS })
  return status === 0 ? String(stdout) : undefined
}
