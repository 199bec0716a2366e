/**
 * The exclusive lock of a data directory: one listening unix socket per holder (a named pipe on Windows).
 *
 * Why a socket and not a pid file: the operating system itself closes it when its process dies, by `kill -9` too, so there is
 * no pid to compare, no start time to read, no heartbeat to wait for, and it holds across pid and network namespaces
 * (containers that share a volume; an abstract socket would not). Node has no `flock`, and a native module for it would
 * have to be compiled on every machine.
 *
 * A dead holder leaves its socket file behind, and "unlink the stale one, then bind" is a race between two takers. So a
 * socket file is never taken over: each holder links its own, already listening socket as `lock.N`, one above the highest,
 * which is atomic; the highest number counts. A holder removes the lower ones and leaves its own when it goes.
 */
import { createHash, randomBytes } from 'node:crypto'
import { link, open, readdir, realpath, unlink } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { MeshError, toMeshError } from './errors.ts'

/** Longest wait for a holder to say its pid, in ms. A stopped process (SIGSTOP) holds the lock and says nothing. */
const GREETING_TIMEOUT_MS = 1_000
/** Rounds lost to other takers before giving up. */
const MAX_ROUNDS = 100
/** `sun_path` holds 108 bytes on Linux, 104 on macOS, the terminating zero included. */
const MAX_SOCKET_PATH_BYTES = 103

/** A lock that is held. */
export interface DataDirLock {
  /** Lets go. Those who wait in {@link whenUnlocked} are told. Idempotent. */
  release(): Promise<void>
}

/** Who takes a lock, and which of a directory. */
export interface LockInit {
  /** Name of its socket files. Default: `lock`, that of who runs on the directory. */
  name?: 'lock' | 'change'
  /** The command that holds it, such as `atmo join`, for those that it keeps out. Default: a node that runs. */
  what?: string
}

/** Who holds a lock; `pid` is 0 if it did not say. */
export interface LockHolder {
  pid: number
  /** See {@link LockInit}. */
  what?: string
  /** Resolves when the holder lets go or dies. Keeps no process alive by itself after `cancel`. */
  released: Promise<void>
  cancel(): void
}

/** Takes a lock of a directory that exists. Throws `conflict` if another process holds it, `invalid_config` if its file system has no sockets. */
export async function lockDataDir(dir: string, init: LockInit = {}): Promise<DataDirLock> {
  const waiting = new Set<Socket>()
  const server = createServer((socket) => {
    waiting.add(socket)
    socket.on('error', () => {}).on('close', () => waiting.delete(socket))
    socket.unref()
    socket.write(`${JSON.stringify({ pid: process.pid, what: init.what })}\n`)
  })
  if (process.platform === 'win32') await claimPipe(server, dir, init)
  else await claimSocket(server, dir, init)
  server.unref()
  let released: Promise<void> | undefined
  return {
    release: () =>
      (released ??= (async () => {
        const closed = new Promise<void>((resolve) => server.close(() => resolve()))
        for (const socket of waiting) socket.destroy()
        await closed
      })())
  }
}

/** Who holds the lock of this directory now, or undefined. Call `cancel` when done with it. */
export async function lockHolder(dir: string): Promise<LockHolder | undefined> {
  if (process.platform === 'win32') return probe(await pipeName(dir))
  const address = await socketAddress(dir)
  try {
    const highest = await highestLock(dir)
    return highest === 0 ? undefined : await probe(address.of(`lock.${highest}`))
  } finally {
    await address.close()
  }
}

async function claimSocket(server: Server, dir: string, init: LockInit): Promise<void> {
  const address = await socketAddress(dir)
  const temporary = `.lock-${randomBytes(4).toString('hex')}`
  try {
    await listen(server, address.of(temporary)).catch((cause: NodeJS.ErrnoException) => {
      if (['EACCES', 'EPERM', 'EROFS', 'ENOSPC'].includes(cause.code ?? ''))
        throw toMeshError(Object.assign(cause, { path: dir, syscall: 'write to' }))
      throw new MeshError(
        'invalid_config',
        `cannot lock the data directory ${dir} (${cause.code}): it must be on a local file system that has unix sockets; choose another with --data-dir`,
        { dataDir: dir },
        { cause }
      )
    })
    await claimNumber(dir, temporary, address, init)
  } catch (error) {
    await new Promise<void>((resolve) => (server.listening ? server.close(() => resolve()) : resolve()))
    throw error
  } finally {
    await unlink(`${dir}/${temporary}`).catch(() => {})
    await address.close()
  }
}

async function claimNumber(dir: string, temporary: string, address: SocketAddress, init: LockInit): Promise<void> {
  const { name = 'lock' } = init
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const highest = await highestLock(dir, name)
    if (highest > 0) await refuseIfAlive(dir, address.of(`${name}.${highest}`), init)
    const mine = highest + 1
    try {
      await link(`${dir}/${temporary}`, `${dir}/${name}.${mine}`)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue
      throw error
    }
    // Somebody slower or faster may have linked a higher one meanwhile: then that one counts.
    const numbers = await lockNumbers(dir, name)
    const lost = numbers.some((number) => number > mine)
    await Promise.all(
      numbers
        .filter((number) => (lost ? number === mine : number < mine))
        .map((number) => unlink(`${dir}/${name}.${number}`).catch(() => {}))
    )
    if (!lost) return
  }
  throw new MeshError('conflict', `too many nodes start on the data directory ${dir} at once`, { dataDir: dir })
}

async function refuseIfAlive(dir: string, path: string, init: LockInit): Promise<void> {
  const holder = await probe(path)
  if (!holder) return
  holder.cancel()
  throw inUse(dir, holder, init)
}

function inUse(dir: string, { pid, what }: Pick<LockHolder, 'pid' | 'what'>, init: LockInit): MeshError {
  const who = pid > 0 ? ` (process ${pid})` : ''
  if (what !== undefined)
    return new MeshError(
      'conflict',
      `${what === init.what ? 'another ' : ''}${what}${who} is under way on the data directory ${dir}; try again when it has ended`,
      { dataDir: dir, pid }
    )
  return new MeshError(
    'conflict',
    `another node${who} runs on the data directory ${dir}; stop it with: atmo stop --data-dir ${dir}, or choose another with --data-dir`,
    { dataDir: dir, pid }
  )
}

/** Connects to a lock. Undefined if nobody listens any more. */
function probe(path: string): Promise<LockHolder | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    let greeting = ''
    const closed = new Promise<void>((done) => socket.once('close', () => done()))
    const found = () => {
      clearTimeout(timer)
      const pid = Number(/"pid":(\d+)/.exec(greeting)?.[1] ?? 0)
      const what = /"what":"([a-z ]+)"/.exec(greeting)?.[1]
      resolve({ pid, ...(what !== undefined && { what }), released: closed, cancel: () => socket.destroy() })
    }
    const timer = setTimeout(found, GREETING_TIMEOUT_MS)
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      greeting += text
      if (greeting.includes('\n') || greeting.length > 256) found()
    })
    socket.on('end', found)
    socket.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer)
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(undefined)
      // The holder went while it was asked: it is gone as well.
      else if (error.code === 'ECONNRESET' || error.code === 'EPIPE') resolve(undefined)
      else
        reject(
          new MeshError(
            'permission_denied',
            `the lock of the data directory cannot be read (${error.code})`,
            {},
            { cause: error }
          )
        )
    })
  })
}

async function lockNumbers(dir: string, name: string): Promise<number[]> {
  const names = await readdir(dir).catch(() => [] as string[])
  return names.flatMap((found) => {
    const number = found.startsWith(`${name}.`) ? found.slice(name.length + 1) : ''
    return /^[1-9]\d{0,14}$/.test(number) ? [Number(number)] : []
  })
}

async function highestLock(dir: string, name = 'lock'): Promise<number> {
  return Math.max(0, ...(await lockNumbers(dir, name)))
}

interface SocketAddress {
  of(name: string): string
  close(): Promise<void>
}

/** Linux can name a directory by descriptor, which keeps the path short however deep the directory is. */
async function socketAddress(dir: string): Promise<SocketAddress> {
  if (Buffer.byteLength(dir) + 16 <= MAX_SOCKET_PATH_BYTES) return { of: (name) => `${dir}/${name}`, close: async () => {} }
  if (process.platform !== 'linux') {
    throw new MeshError(
      'invalid_config',
      `the path of the data directory is too long for a unix socket (at most ${MAX_SOCKET_PATH_BYTES - 16} bytes): ${dir}`,
      { dataDir: dir }
    )
  }
  const handle = await open(dir)
  return { of: (name) => `/proc/self/fd/${handle.fd}/${name}`, close: () => handle.close() }
}

/** Windows frees a pipe with its process, and only the first instance of a name can be made. */
async function claimPipe(server: Server, dir: string, init: LockInit): Promise<void> {
  const name = `${await pipeName(dir)}${init.name === 'change' ? '-change' : ''}`
  try {
    await listen(server, name)
  } catch (error) {
    const holder = await probe(name)
    holder?.cancel()
    if (holder || (error as NodeJS.ErrnoException).code === 'EADDRINUSE') throw inUse(dir, holder ?? { pid: 0 }, init)
    throw error
  }
}

async function pipeName(dir: string): Promise<string> {
  // Paths of Windows ignore case, and a link to the directory is the same directory.
  const real = await realpath(dir).catch(() => dir)
  return `\\\\.\\pipe\\atmosphere-${createHash('sha256').update(real.toLowerCase()).digest('hex').slice(0, 32)}`
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      // An accept that fails (no descriptors left) must not end the node.
      server.on('error', () => {})
      resolve()
    })
  })
}
