/** What stands between a client and a model in the suite `front-door`: nodes of this project as users start them, and a gateway from the npm registry. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { freePort } from '../../test/fixtures/mosquitto.ts'

/**
 * The gateway that a user would pick who wants one for Node. With the releases of its HTTP server since 1.14 it fails at each stream of its own provider `openai`
 * ("immutable" headers): it gets the last one with which it does not.
 */
export const PORTKEY = { name: '@portkey-ai/gateway', version: '1.15.2', overrides: { '@hono/node-server': '1.13.8' } }
const WITHIN_MS = 30_000

/** Something that runs and answers HTTP. */
export interface Door {
  url: string
  stop(): Promise<void>
}

/** A node, with what its API wants to hear. */
export interface NodeDoor extends Door {
  address: string
  token: string
}

/** `atmo start` with this configuration, on loopback, in an open mesh. */
export async function startNodeDoor(
  root: string,
  init: { dir: string; name: string; config: object; peer?: string; execArgv: string[] }
): Promise<NodeDoor> {
  const dir = join(init.dir, init.name)
  const config = join(init.dir, `${init.name}.json`)
  writeFileSync(config, JSON.stringify(init.config))
  const where = ['--data-dir', dir, '--config', config, '--open', '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0']
  const peers = init.peer === undefined ? [] : ['--peer', init.peer]
  const main = join(root, 'dist/src/cli/main.js')
  const door = startProcess([...init.execArgv, main, 'start', '--json', '--name', init.name, ...where, ...peers], 'SIGTERM')
  const ready = JSON.parse(await door.line()) as { api: string; multiaddrs: string[] }
  const token = (await readFile(join(dir, 'api-token'), 'utf8')).trim()
  return { url: `${ready.api}/v1`, address: ready.multiaddrs[0]!, token, stop: door.stop }
}

/** The gateway, installed once into the cache of this user. Undefined where it cannot be had, which is said. */
export async function startPortkey(log: (line: string) => void): Promise<Door | undefined> {
  const folder = installed(log)
  if (folder === undefined) return undefined
  const port = await freePort()
  const script = join(folder, 'node_modules', PORTKEY.name, 'build/start-server.js')
  const env = { TRUSTED_CUSTOM_HOSTS: '127.0.0.1', NODE_ENV: 'production' }
  const door = startProcess([script, `--port=${port}`, '--headless'], 'SIGKILL', env)
  const url = `http://127.0.0.1:${port}`
  await answering(url)
  return { url: `${url}/v1`, stop: door.stop }
}

function installed(log: (line: string) => void): string | undefined {
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'atmosphere')
  const folder = join(cache, `portkey-gateway-${PORTKEY.version}`)
  if (existsSync(folder)) return folder
  log(`${PORTKEY.name} ${PORTKEY.version} is fetched from the npm registry, 25 MB, once, into ${folder}`)
  mkdirSync(cache, { recursive: true })
  const own = mkdtempSync(`${folder}-`)
  writeFileSync(join(own, 'package.json'), JSON.stringify({ overrides: PORTKEY.overrides }))
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const { status } = spawnSync('npm', ['install', '--prefix', own, ...flags, `${PORTKEY.name}@${PORTKEY.version}`], {
    stdio: ['ignore', 2, 2]
  })
  if (status === 0) renameSync(own, folder)
  else {
    rmSync(own, { recursive: true, force: true })
    log(`npm cannot install it (exit code ${status}): it is left out`)
  }
  return status === 0 ? folder : undefined
}

function startProcess(args: string[], end: NodeJS.Signals, env: Record<string, string> = {}) {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  // What comes after its first line is read and left: an iterator would stop it.
  const lines = createInterface({ input: child.stdout })
  const first = once(lines, 'line') as Promise<[string]>
  return {
    async line(): Promise<string> {
      const said = await Promise.race([first, ended])
      if (said === undefined) throw new Error(`${args.join(' ')} has ended`)
      return said[0]
    },
    async stop() {
      child.kill(end)
      await ended
    }
  }
}

async function answering(url: string): Promise<void> {
  await soon(async () => {
    await (await fetch(url)).arrayBuffer()
    return true
  }, `an answer at ${url}`)
}

/** Waits until it is true; what it throws meanwhile is "not yet". */
export async function soon(fits: () => Promise<boolean>, what: string): Promise<void> {
  const over = performance.now() + WITHIN_MS
  while (!(await fits().catch(() => false))) {
    if (performance.now() > over) throw new Error(`${what} has not come within ${WITHIN_MS} ms`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
