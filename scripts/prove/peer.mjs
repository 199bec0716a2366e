/**
 * A node as a process, driven by JSON lines on stdin, that prints what it sees as JSON lines with the machine's monotonic clock.
 * Plain JavaScript over the built package: what is measured is what users run.
 */
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { createNode, isMeshError, joinMesh } from '../../dist/src/index.js'

const clock = () => Number(process.hrtime.bigint()) / 1e6
const print = (event, fields = {}) => console.log(JSON.stringify({ event, ...fields, t: clock() }))
let node
const registrations = new Map()
/** How long `work` takes, in ms. */
let paceMs = 0

const handlers = {
  echo: (input) => input,
  slow: (input, { signal }) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => resolve('slept'), input.ms ?? 100)
      signal.addEventListener('abort', () => (clearTimeout(timer), print('aborted'), reject(signal.reason)))
    }),
  // Timers, not work: the cores of the machine, which all nodes share, have no part in it.
  work: () => new Promise((resolve) => setTimeout(resolve, paceMs * (0.75 + Math.random() / 2))),
  async *stream(input) {
    const hash = createHash('sha256')
    let bytes = 0
    try {
      for (const chunk of chunks(input)) {
        hash.update(chunk)
        bytes += chunk.length
        yield chunk
      }
      return { bytes, sha256: hash.digest('hex') }
    } finally {
      print('source-ended', { value: bytes })
    }
  },
  async sink(_input, { stream }) {
    const hash = createHash('sha256')
    let bytes = 0
    for await (const item of stream ?? []) {
      if (item.kind !== 'bytes') continue
      hash.update(item.bytes)
      bytes += item.bytes.length
    }
    return { bytes, sha256: hash.digest('hex') }
  },
  async *count(input, { signal }) {
    for (let n = 0; n < input.to && !signal.aborted; n++) {
      yield n
      if (input.ms) await new Promise((resolve) => setTimeout(resolve, input.ms))
    }
    return 'done'
  },
  fail: () => {
    throw new Error('meant to fail')
  }
}

/** No two alike, so that one that is lost, twice there or out of its place shows in a checksum. */
function* chunks({ bytes, chunk = 65536 }) {
  for (let at = 0, n = 1; at < bytes; at += chunk, n++)
    yield new Uint8Array(Math.min(chunk, bytes - at)).fill(n).fill(n >> 8, 1, 2)
}

const verbs = {
  async start({ name, peers = [], mdns = true, listen, dataDir, watch = true, open = true }) {
    const began = clock()
    node = await createNode({
      name,
      open,
      peers,
      mdns,
      listen,
      dataDir,
      log: (level, message) => process.env.ATMO_PROVE_LOG && print('log', { level, message })
    })
    if (watch) void follow()
    return { peerId: node.peerId, multiaddrs: node.multiaddrs(), startMs: clock() - began }
  },
  /** A tool of a name that is none of the handlers' echoes. */
  register({ id, type = 'test/thing', tools = ['echo', 'slow', 'stream', 'count', 'fail'], ...rest }) {
    const t = clock()
    const declared = tools.map((tool) => ({ name: tool, ...rest.tool }))
    registrations.set(
      id,
      node.register(
        { id, type, tools: declared },
        Object.fromEntries(tools.map((tool) => [tool, handlers[tool] ?? handlers.echo]))
      )
    )
    return { at: t }
  },
  update({ id, change }) {
    const t = clock()
    registrations.get(id).update(change)
    return { at: t }
  },
  remove({ id }) {
    const t = clock()
    registrations.get(id).remove()
    return { at: t }
  },
  async call({ target, tool, input, options }) {
    const began = clock()
    try {
      const { result, provider, route } = await node.call(target, tool, input, options).result
      return { ok: true, result, provider, tried: route.tried, path: route.path, hops: route.hops, ms: clock() - began }
    } catch (error) {
      return { ok: false, code: isMeshError(error) ? error.code : 'untyped', message: error.message, ms: clock() - began }
    }
  },
  pace({ ms }) {
    paceMs = ms
    return { at: clock() }
  },
  /** Calls at random moments, so many a second, whether those before have ended or not. */
  async flow({ target, tool, perSecond, seconds, options }) {
    const calls = []
    const end = clock() + seconds * 1000
    const running = []
    for (let due = clock(); due < end; due += (-Math.log(1 - Math.random()) * 1000) / perSecond) {
      const wait = due - clock()
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
      const at = clock()
      running.push(
        node.call(target, tool, {}, options).result.then(
          ({ provider, route }) =>
            calls.push({ at, ms: clock() - at, provider, path: route.path, tries: route.tried.length + 1 }),
          (error) =>
            calls.push({ at, ms: clock() - at, code: isMeshError(error) ? error.code : 'untyped', message: error.message })
        )
      )
    }
    await Promise.all(running)
    return calls
  },
  /** Calls one after the other. @returns the ms that each took. */
  async repeat({ target, tool, input, count }) {
    const times = []
    for (let n = 0; n < count; n++) {
      const began = clock()
      await node.call(target, tool, input).result
      times.push(clock() - began)
    }
    return times
  },
  /** Cancels a call that runs. */
  async cancel({ target, tool, input, afterMs }) {
    const call = node.call(target, tool, input)
    const ended = call.result.then(
      () => 'success',
      (error) => (isMeshError(error) ? error.code : 'untyped')
    )
    await new Promise((resolve) => setTimeout(resolve, afterMs))
    const at = clock()
    call.cancel()
    return { at, code: await ended }
  },
  /** Streams in. */
  async send({ target, input }) {
    const began = clock()
    const hash = createHash('sha256')
    async function* stream() {
      for (const bytes of chunks(input)) {
        hash.update(bytes)
        yield { kind: 'bytes', bytes }
      }
    }
    const { result, route } = await node.call(target, 'sink', {}, { stream: stream(), timeoutMs: 600_000 }).result
    return { result, sha256: hash.digest('hex'), hops: route.hops, ms: clock() - began }
  },
  /** Reads a stream, and leaves it after so many seconds if it has not ended by then. */
  async consume({ target, input, bytesPerSecond = Infinity, seconds = 600 }) {
    const began = clock()
    const hash = createHash('sha256')
    let bytes = 0
    let result
    const call = node.call(target, 'stream', input, { timeoutMs: 600_000 })
    for await (const item of call) {
      if (item.kind === 'result') result = item.value
      if (item.kind !== 'bytes') continue
      hash.update(item.bytes)
      bytes += item.bytes.length
      const due = (bytes / bytesPerSecond) * 1000 - (clock() - began)
      if (due > 1) await new Promise((resolve) => setTimeout(resolve, due))
      if (clock() - began > seconds * 1000) break
    }
    return { bytes, sha256: hash.digest('hex'), result, leftAt: clock(), ms: clock() - began }
  },
  async storm({ calls, seed, width = 24 }) {
    let random = seed + 1
    const next = () => (random = (random * 48_271) % 0x7fffffff) / 0x7fffffff
    const pick = (list) => list[Math.floor(next() * list.length)]
    const stats = { issued: 0, settled: 0, twice: 0, outcomes: {} }
    const one = async () => {
      stats.issued++
      const tool = pick(['echo', 'echo', 'slow', 'count', 'stream', 'fail'])
      const input = {
        echo: { text: 'x'.repeat(100) },
        slow: { ms: next() * 400 },
        count: { to: 20, ms: 5 },
        stream: { bytes: 300_000 },
        fail: {}
      }[tool]
      const call = node.call(pick(['shared', 'shared', 'own-1', 'own-2', 'own-3']), tool, input, { timeoutMs: 5_000 })
      const cancel = next() < 0.2 ? setTimeout(() => call.cancel(), next() * 20) : undefined
      const leave = next() < 0.1
      let results = 0
      let outcome
      try {
        for await (const item of call) {
          if (item.kind === 'result') results++
          else if (leave) break
        }
        outcome = results === 1 ? 'success' : leave ? 'left' : 'no-result'
      } catch (error) {
        outcome = isMeshError(error) ? error.code : 'untyped'
        if (!isMeshError(error)) print('untyped', { message: String(error?.stack ?? error) })
      }
      clearTimeout(cancel)
      if (results > 1) stats.twice++
      await call.result.then(
        () => outcome !== 'success' && stats.twice++,
        () => outcome === 'success' && stats.twice++
      )
      stats.settled++
      stats.outcomes[outcome] = (stats.outcomes[outcome] ?? 0) + 1
    }
    await Promise.all(
      Array.from({ length: width }, async () => {
        while (stats.issued < calls) await one()
      })
    )
    return stats
  },
  join: ({ dataDir, code, name }) => joinMesh(dataDir, code, name),
  invite: ({ role }) => node.invite({ role }),
  revoke: ({ target, reason }) => node.revoke(target, reason),
  status: () => node.status(),
  /** The next hop to each node, null where none is known. */
  ways: () => node.routes().nodes.map(({ node: to, direct, via, hops }) => ({ to, via: direct ? to : via, hops })),
  /** When there is a way to all of these. */
  async reaches({ nodes, timeoutMs }) {
    const began = clock()
    for (;;) {
      const ways = new Set(node.routes().nodes.flatMap(({ node: to, hops }) => (hops === null ? [] : [to])))
      const missing = nodes.filter((to) => to !== node.peerId && !ways.has(to))
      if (missing.length === 0) return clock()
      if (clock() - began > timeoutMs) throw new Error(`no way to ${missing.length} of ${nodes.length} nodes`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  },
  async trace({ target }) {
    const hops = []
    for await (const hop of node.trace(target)) hops.push(hop)
    return hops
  },
  peers: () => node.peers(),
  capabilities: () => node.capabilities().map(({ id, node: owner, status }) => ({ id, node: owner, status })),
  usage: () => ({
    ...process.memoryUsage(),
    cpuUs: process.cpuUsage().user + process.cpuUsage().system,
    handles: process.getActiveResourcesInfo().length
  }),
  collect: () => (globalThis.gc?.(), process.memoryUsage()),
  async stop() {
    await node?.stop()
    return { handles: process.getActiveResourcesInfo() }
  }
}

async function follow() {
  for await (const event of node.events({ signal: new AbortController().signal })) {
    if (event.event.startsWith('call:')) continue
    const { event: seen, node: owner, capability, id, peerId, reason, via } = event
    print('seen', { seen, owner, id: capability?.id ?? id, peerId, reason, via })
  }
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { n, do: verb, ...rest } = JSON.parse(line)
  try {
    print('answer', { n, value: await verbs[verb](rest) })
  } catch (error) {
    print('answer', { n, error: error.message, code: error.code })
  }
  if (verb === 'stop') process.stdin.unref?.()
})
process.on('SIGTERM', async () => {
  await node?.stop()
  process.exit(0)
})
print('hello')
