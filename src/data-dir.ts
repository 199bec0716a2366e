/**
 * The data directory of a node: its key, its API token, its lock, and what a running node says of itself. Node only.
 */
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, readdir, stat, unlink } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { absentOr, createPrivate, writeAtomic } from './data-dir-files.ts'
import { lockDataDir } from './data-dir-lock.ts'
import { MeshError } from './errors.ts'

const KEY_FILE = 'identity.key'
/** Name of the file in the data directory that has the token of the local API. */
export const TOKEN_FILE = 'api-token'
const NODE_FILE = 'node.json'
const INCARNATION_FILE = 'incarnation'
/** Bits of the API token. */
const TOKEN_BITS = 256
/** Longest key file that is read, in bytes; an Ed25519 key takes under 100. */
const MAX_KEY_BYTES = 16_384

/** A data directory that this process holds alone. */
export interface DataDir {
  /** Absolute. */
  readonly path: string
  /** Lets other processes use it. Idempotent. */
  release(): Promise<void>
}

/** What a running node leaves for the CLI in `node.json`. */
export interface NodeFile {
  pid: number
  /** Base URL of the local API, no trailing slash. */
  api: string
  peerId: string
  /** ISO 8601; for people. */
  startedAt: string
}

/** Where names of the environment come from; `process.env` by default, another in tests. */
export interface DirEnvironment {
  env?: Record<string, string | undefined>
  platform?: NodeJS.Platform
  home?: string
}

/**
 * Path of the data directory when none is named: XDG on Linux and the BSDs
 * (https://specifications.freedesktop.org/basedir-spec/), Application Support on macOS, LOCALAPPDATA on Windows.
 */
export function defaultDataDir({
  env = process.env,
  platform = process.platform,
  home = homedir()
}: DirEnvironment = {}): string {
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', 'atmosphere')
  if (platform === 'win32') return join(env['LOCALAPPDATA'] || join(home, 'AppData', 'Local'), 'atmosphere')
  // The specification says that a relative path there is to be ignored.
  const xdg = env['XDG_DATA_HOME']
  return join(xdg && isAbsolute(xdg) ? xdg : join(home, '.local', 'share'), 'atmosphere')
}

/** Absolute path of the data directory: the flag, else `ATMO_DATA_DIR`, else {@link defaultDataDir}. */
export function resolveDataDir(flag?: string, environment: DirEnvironment = {}): string {
  const env = environment.env ?? process.env
  const chosen = flag || env['ATMO_DATA_DIR']
  return chosen ? resolve(chosen) : defaultDataDir(environment)
}

/**
 * Makes the directory if need be (mode 0700) and locks it for this process. @param what the command that does so, if it is no node that runs.
 * Throws `conflict` if another node or command is at it, `invalid_config` if it cannot be used.
 */
export async function openDataDir(path: string, what?: string): Promise<DataDir> {
  const dir = resolve(path)
  try {
    await makeDir(dir)
    await closeToOthers(dir)
  } catch (error) {
    if (error instanceof MeshError) throw error
    const code = (error as NodeJS.ErrnoException).code
    throw new MeshError(
      'invalid_config',
      code === 'EEXIST'
        ? `the data directory ${dir} is no directory; choose another with --data-dir`
        : `cannot use the data directory ${dir} (${code}); choose another with --data-dir`,
      { dataDir: dir },
      { cause: error }
    )
  }
  const lock = await lockDataDir(dir, { what })
  return { path: dir, release: () => lock.release() }
}

/** Level by level: the recursive `mkdir` of Node spins for ever where a directory exists and nothing can be made in it, as in /proc. */
async function makeDir(dir: string): Promise<void> {
  const make = () =>
    mkdir(dir, { mode: 0o700 }).catch(async (error: NodeJS.ErrnoException) => {
      if (!(await stat(dir).catch(() => undefined))?.isDirectory()) throw error
    })
  try {
    await make()
  } catch (error) {
    const parent = dirname(dir)
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === dir) throw error
    await makeDir(parent)
    await make()
  }
}

/** Others must not be able to swap the key: a directory of ours is tightened, a foreign one that others may write is refused. */
async function closeToOthers(dir: string): Promise<void> {
  if (process.platform === 'win32') return
  const { mode } = await stat(dir)
  if ((mode & 0o077) === 0) return
  const names = await readdir(dir)
  if (names.length === 0 || names.includes(KEY_FILE) || names.includes(TOKEN_FILE)) await chmod(dir, 0o700)
  else if ((mode & 0o022) !== 0) {
    throw new MeshError(
      'invalid_config',
      `the data directory ${dir} holds other files and other users may write to it; choose another with --data-dir, or run: chmod 700 ${dir}`,
      { dataDir: dir }
    )
  }
}

/** Path of the private key. */
export function identityKeyPath(dir: string): string {
  return join(dir, KEY_FILE)
}

/** The private key as it was stored, or undefined if there is none yet. Throws `invalid_config` if others may read it. */
export async function readIdentityKey(dir: string): Promise<Uint8Array | undefined> {
  const path = identityKeyPath(dir)
  try {
    const { mode, size } = await stat(path)
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new MeshError(
        'invalid_config',
        `other users may read the key ${path}; if it is still yours alone, run: chmod 600 ${path}`,
        { path }
      )
    }
    if (size === 0 || size > MAX_KEY_BYTES)
      throw new MeshError(
        'invalid_config',
        `the key ${path} is damaged (${size} bytes); put your backup there, or move it away for a new identity`,
        { path }
      )
    return new Uint8Array(await readFile(path))
  } catch (error) {
    return absentOr(error)
  }
}

/** Stores a new private key, mode 0600, and begins its count of incarnations. Throws `conflict` if there is one: a key is never overwritten. */
export async function createIdentityKey(dir: string, bytes: Uint8Array): Promise<void> {
  const path = identityKeyPath(dir)
  // Before the key, so that a key without a counter always means that the counter was lost.
  await createPrivate(join(dir, INCARNATION_FILE), '0\n')
  const created = await createPrivate(path, bytes)
  if (!created) throw new MeshError('conflict', `there is a key already: ${path}`, { path })
}

/** The token of the local API, made on first use: 256 random bits, base64url, mode 0600. */
export async function ensureApiToken(dir: string): Promise<string> {
  const fresh = randomBytes(TOKEN_BITS / 8).toString('base64url')
  if (await createPrivate(join(dir, TOKEN_FILE), fresh)) return fresh
  const token = await readApiToken(dir)
  if (token) return token
  await writeAtomic(join(dir, TOKEN_FILE), fresh)
  return fresh
}

/** The token of the local API, or undefined if there is none or it is damaged. */
export async function readApiToken(dir: string): Promise<string | undefined> {
  const text = await readFile(join(dir, TOKEN_FILE), 'utf8').catch(absentOr)
  return text && /^[A-Za-z0-9_-]{43}$/.test(text.trim()) ? text.trim() : undefined
}

/** Says that a node runs here, mode 0600. */
export async function writeNodeFile(dir: string, info: NodeFile): Promise<void> {
  await writeAtomic(join(dir, NODE_FILE), `${JSON.stringify(info, null, 2)}\n`)
}

/** What the node here says of itself; undefined if there is none. After a `kill -9` it may be stale: ask the lock. */
export async function readNodeFile(dir: string): Promise<NodeFile | undefined> {
  const text = await readFile(join(dir, NODE_FILE), 'utf8').catch(absentOr)
  if (!text) return undefined
  try {
    const info = JSON.parse(text) as Partial<NodeFile>
    return typeof info.pid === 'number' &&
      typeof info.api === 'string' &&
      typeof info.peerId === 'string' &&
      typeof info.startedAt === 'string'
      ? (info as NodeFile)
      : undefined
  } catch {
    return undefined
  }
}

/** Removes `node.json`. */
export async function removeNodeFile(dir: string): Promise<void> {
  await unlink(join(dir, NODE_FILE)).catch(absentOr)
}

/** How the incarnation came about. `warning` is for the log. */
export interface Incarnation {
  value: number
  warning?: string
}

/** Highest incarnation by the clock, in 2106: events carry 32 bits of it, and some starts are to come after a clock that is wrong. */
const MAX_CLOCK_INCARNATION = 0xffff_0000

/**
 * The next incarnation of this node, stored before it is returned: higher than at the last start, also if the directory has been set back to an older state
 * of it. Others drop announcements of a lower one, and take events of it for old ones. So it is the Unix time in seconds, or one more than the last.
 */
export async function nextIncarnation(dir: string, nowMs: number = Date.now()): Promise<Incarnation> {
  const path = join(dir, INCARNATION_FILE)
  const text = await readFile(path, 'utf8').catch(absentOr)
  const known = text !== undefined && /^(0|[1-9]\d{0,14})\s*$/.test(text) ? Number(text) : undefined
  const fresh = text === undefined && (await stat(identityKeyPath(dir)).catch(absentOr)) === undefined
  const value = Math.max((known ?? 0) + 1, Math.min(Math.floor(nowMs / 1000), MAX_CLOCK_INCARNATION))
  await writeAtomic(path, `${value}\n`)
  if (known !== undefined || fresh) return { value }
  return {
    value,
    warning: `the start counter ${path} was ${text === undefined ? 'missing' : 'damaged'}; it goes on from ${value}`
  }
}
