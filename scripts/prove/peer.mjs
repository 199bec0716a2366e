/**
 * A node as a process, driven by JSON lines on stdin, that prints what it sees as JSON lines with the machine's monotonic clock.
 * Plain JavaScript over the built package: what is measured is what users run.
 */
import { createInterface } from 'node:readline'
import { createNode, isMeshError, joinMesh } from '../../dist/src/index.js'

const clock = () => Number(process.hrtime.bigint()) / 1e6
const print = (event, fields = {}) => console.log(JSON.stringify({ event, ...fields, t: clock() }))
let node
const registrations = new Map()

const handlers = {
  echo: (input) => input,
  slow: (input, { signal }) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => resolve('slept'), input.ms ?? 100)
      signal.addEventListener('abort', () => (clearTimeout(timer), reject(signal.reason)))
    }),
  async *stream(input) {
    const chunk = new Uint8Array(input.chunk ?? 65536)
    try {
      for (let sent = 0; sent < input.bytes; sent += chunk.length) yield chunk
      return { bytes: input.bytes }
    } finally {
      print('source-ended')
    }
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
  register({ id, type = 'test/thing', tools = ['echo', 'slow', 'stream', 'count', 'fail'], ...rest }) {
    const t = clock()
    const declared = tools.map((tool) => ({ name: tool, ...rest.tool }))
    registrations.set(
      id,
      node.register({ id, type, tools: declared }, Object.fromEntries(tools.map((tool) => [tool, handlers[tool]])))
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
      return { ok: true, result, provider, tried: route.tried, ms: clock() - began }
    } catch (error) {
      return { ok: false, code: isMeshError(error) ? error.code : 'untyped', message: error.message, ms: clock() - began }
    }
  },
  async consume({ target, input, bytesPerSecond, seconds }) {
    const began = clock()
    let bytes = 0
    const call = node.call(target, 'stream', input, { timeoutMs: 600_000 })
    for await (const item of call) {
      if (item.kind !== 'bytes') continue
      bytes += item.bytes.length
      const due = (bytes / bytesPerSecond) * 1000 - (clock() - began)
      if (due > 1) await new Promise((resolve) => setTimeout(resolve, due))
      if (clock() - began > seconds * 1000) break
    }
    return { bytes, ms: clock() - began }
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
    if (event.event === 'call') continue
    const { event: seen, node: owner, capability, id, peerId, reason } = event
    print('seen', { seen, owner, id: capability?.id ?? id, peerId, reason })
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
