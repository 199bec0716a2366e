import assert from 'node:assert/strict'
import {
  MAX_REPLAYS,
  MAX_REPLAYS_PER_CALLER,
  MAX_REPLAY_BYTES,
  REPLAY_TTL_MS,
  createReplays,
  type KeyedCall,
  type StartCall
} from '../../../src/calls/replay.ts'
import { MAX_CACHED_CHARACTERS, MAX_CACHED_RESULTS, canonicalJson, createResultCache } from '../../../src/calls/result-cache.ts'
import type { Item, JsonValue } from '../../../src/core/invoke.ts'
import { MeshError, isMeshError, type ErrorCode } from '../../../src/errors.ts'
import { until, within } from '../../fixtures/libp2p-pair.ts'

const never = (): AbortSignal => new AbortController().signal
const keyed = (key: string, input: JsonValue = {}, caller = key): KeyedCall => ({ key, caller, input })
const result = (value: number): Item => ({ kind: 'result', value })
async function read(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = []
  for await (const item of items) all.push(item)
  return all
}

describe('replays', () => {
  it('run one key once: together, one after the other, and not other keys', async () => {
    const replays = createReplays(() => 0)
    let runs = 0
    const start = async function* (): AsyncGenerator<Item, void, void> {
      const n = ++runs
      yield { kind: 'json', value: n }
      await new Promise((resolve) => setImmediate(resolve))
      yield result(n)
    }
    const [a, b] = await Promise.all([
      read(replays.follow(keyed('k'), start, never())),
      read(replays.follow(keyed('k'), start, never()))
    ])
    assert.deepEqual(a, b)
    assert.deepEqual(await read(replays.follow(keyed('k'), start, never())), a)
    assert.equal(runs, 1)
    assert.deepEqual((await read(replays.follow(keyed('other'), start, never()))).at(-1), result(2))
  })

  it('go on to their end once they run, even if nobody follows; a retry gets the outcome', async () => {
    const replays = createReplays(() => 0)
    let finish!: () => void
    let runs = 0
    let stopped = false
    const gate = new Promise<void>((resolve) => (finish = resolve))
    const start: StartCall = async function* (signal, onRun) {
      signal.addEventListener('abort', () => (stopped = true))
      onRun()
      runs++
      yield { kind: 'json', value: 1 }
      await gate
      yield result(7)
    }
    const alone = new AbortController()
    const leaving = read(replays.follow(keyed('k'), start, alone.signal))
    await new Promise((resolve) => setImmediate(resolve))
    alone.abort(new MeshError('cancelled', 'left'))
    await assert.rejects(leaving, (error) => isMeshError(error, 'cancelled'))
    const retry = read(replays.follow(keyed('k'), start, never()))
    finish()
    assert.deepEqual((await retry).at(-1), result(7))
    assert.deepEqual([runs, stopped], [1, false])
  })

  it('end for a node that loses its rights, also what others run for it, and are forgotten', async () => {
    const replays = createReplays(() => 0)
    const ended: string[] = []
    const runs: string[] = []
    const startOf = (name: string): StartCall =>
      async function* (signal, onRun) {
        onRun()
        runs.push(name)
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => (ended.push(name), resolve())))
        throw signal.reason
      }
    const follow = (name: string, caller: string, causes?: string[]) =>
      read(replays.follow({ ...keyed(name, {}, caller), causes }, startOf(name), never()))
    const own = follow('own', 'lost')
    const behalf = follow('behalf', 'agent', ['other', 'lost'])
    follow('kept', 'agent', ['other']).catch(() => undefined)
    const done = replays.follow(
      keyed('done', {}, 'lost'),
      async function* (_, onRun) {
        onRun()
        yield result(1)
      },
      never()
    )
    await read(done)
    await until(() => runs.length === 3, 'they run')
    replays.forget('lost')
    for (const one of [own, behalf]) await assert.rejects(one, { code: 'permission_denied', details: { reason: 'revoked' } })
    assert.deepEqual([ended.sort(), replays.size], [['behalf', 'own'], 1])
    follow('done', 'lost').catch(() => undefined)
    await until(() => runs.includes('done'), 'its key means nothing any more')
  })

  it('keep no more than their share of what nobody follows', async () => {
    const replays = createReplays(() => 0)
    let ended = false
    const start: StartCall = async function* (_, onRun) {
      onRun()
      for (let n = 0; n < 100; n++) {
        yield { kind: 'bytes', bytes: new Uint8Array(MAX_REPLAY_BYTES / 8) }
        await new Promise((resolve) => setImmediate(resolve))
      }
      ended = true
    }
    const left = new AbortController()
    const other = replays.follow(keyed('l'), start, left.signal)
    await other.next()
    await other.return(undefined)
    await until(() => ended, 'it runs on')
    await assert.rejects(read(replays.follow(keyed('l'), start, never())), (error) => isMeshError(error, 'conflict'))
  })

  it('stop what waits to run when nobody follows, and free its key', async () => {
    const replays = createReplays(() => 0)
    let stopped = false
    const alone = new AbortController()
    const start: StartCall = async function* (signal) {
      await new Promise((_, reject) => signal.addEventListener('abort', () => ((stopped = true), reject(signal.reason as Error))))
    }
    const only = read(replays.follow(keyed('k'), start, alone.signal))
    await new Promise((resolve) => setImmediate(resolve))
    alone.abort(new MeshError('cancelled', 'left'))
    await assert.rejects(only)
    await until(() => stopped && replays.size === 0, 'the run stops and its key is free')
  })

  it('give an error again, but free the key if nothing ran', async () => {
    for (const begins of [true, false]) {
      for (const code of ['tool_failed', 'busy', 'invalid_argument', 'cancelled'] as ErrorCode[]) {
        const replays = createReplays(() => 0)
        let runs = 0
        const start: StartCall = async function* (_, onRun) {
          runs++
          if (begins) onRun()
          throw new MeshError(code, 'no')
        }
        for (let n = 0; n < 2; n++)
          await assert.rejects(read(replays.follow(keyed('k'), start, never())), (error) => isMeshError(error, code))
        assert.equal(runs, begins ? 1 : 2, code)
      }
    }
  })

  it('say conflict if the same key comes with another input', async () => {
    const replays = createReplays(() => 0)
    const start = async function* (): AsyncGenerator<Item, void, void> {
      yield result(1)
    }
    await read(replays.follow(keyed('k', { a: 1, b: 2 }), start, never()))
    await read(replays.follow(keyed('k', { b: 2, a: 1 }), start, never()))
    await assert.rejects(read(replays.follow(keyed('k', { a: 2 }), start, never())), (error) => isMeshError(error, 'conflict'))
  })

  it('let a caller with many keys lose its own outcomes, not those of others', async () => {
    const replays = createReplays(() => 0)
    let runs = 0
    const start: StartCall = async function* (_, onRun) {
      onRun()
      runs++
      yield result(1)
    }
    await read(replays.follow(keyed('other'), start, never()))
    for (let n = 0; n < MAX_REPLAYS_PER_CALLER + 10; n++) await read(replays.follow(keyed(`k${n}`, {}, 'me'), start, never()))
    assert.equal(replays.size, MAX_REPLAYS_PER_CALLER + 1)
    runs = 0
    await read(replays.follow(keyed('other'), start, never()))
    assert.equal(runs, 0)
  })

  it('pass a long stream to several followers without keeping it, and say conflict to who comes too late', async () => {
    const replays = createReplays(() => 0)
    let ahead = 0
    let taken = 0
    let most = 0
    const chunk = MAX_REPLAY_BYTES / 8
    const start = async function* (): AsyncGenerator<Item, void, void> {
      for (let n = 0; n < 100; n++) {
        most = Math.max(most, ++ahead - taken)
        yield { kind: 'bytes', bytes: new Uint8Array(chunk) }
      }
      yield result(1)
    }
    const slow = async (): Promise<number> => {
      let count = 0
      for await (const item of replays.follow(keyed('k'), start, never())) {
        if (item.kind !== 'bytes') continue
        taken = ++count
        await new Promise((resolve) => setImmediate(resolve))
      }
      return count
    }
    const [first, second] = await within(Promise.all([slow(), read(replays.follow(keyed('k'), start, never()))]), 'both get all')
    assert.deepEqual([first, second.length], [100, 101])
    assert.ok(most < 14, `the source was ${most} items ahead of the slowest`)
    await assert.rejects(read(replays.follow(keyed('k'), start, never())), (error) => isMeshError(error, 'conflict'))
  })

  it('are bounded: old ones go, and running ones make it say busy', async () => {
    let now = 0
    const replays = createReplays(() => now)
    const start = async function* (): AsyncGenerator<Item, void, void> {
      yield result(1)
    }
    for (let n = 0; n < MAX_REPLAYS + 50; n++) await read(replays.follow(keyed(`k${n}`), start, never()))
    assert.ok(replays.size <= MAX_REPLAYS)
    now = REPLAY_TTL_MS + 1
    await read(replays.follow(keyed('later'), start, never()))
    assert.equal(replays.size, 1)
    const waits = async function* (signal: AbortSignal): AsyncGenerator<Item, void, void> {
      yield { kind: 'json', value: 0 }
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    }
    const running = Array.from({ length: MAX_REPLAYS }, (_, n) => replays.follow(keyed(`r${n}`), waits, never()))
    await Promise.all(running.map((items) => items.next()))
    await assert.rejects(replays.follow(keyed('one more'), waits, never()).next(), (error) => isMeshError(error, 'busy'))
    await Promise.all(running.map((items) => items.return(undefined)))
  })
})

describe('result cache', () => {
  it('keeps results their time, and gives copies', () => {
    let now = 0
    const cache = createResultCache(() => now)
    cache.set('k', { list: [1] }, 'p', 100)
    const got = cache.get('k')!.value as { list: number[] }
    got.list.push(2)
    assert.deepEqual(cache.get('k'), { value: { list: [1] }, provider: 'p' })
    now = 100
    assert.equal(cache.get('k'), undefined)
    cache.set('never', 1, 'p', 0)
    cache.set('large', 'x'.repeat(MAX_CACHED_CHARACTERS), 'p', 100)
    assert.deepEqual([cache.get('never'), cache.get('large')], [undefined, undefined])
  })

  it('drops what was used longest ago', () => {
    const cache = createResultCache(() => 0)
    for (let n = 0; n < MAX_CACHED_RESULTS; n++) cache.set(`k${n}`, n, 'p', 100)
    cache.get('k0')
    cache.set('new', 1, 'p', 100)
    assert.equal(cache.get('k1'), undefined)
    assert.equal(cache.get('k0')?.value, 0)
  })

  it('tells inputs apart by their values, lists included, and not by the order of keys', () => {
    assert.equal(canonicalJson({ b: [1, { d: 1, c: 2 }], a: null }), canonicalJson({ a: null, b: [1, { c: 2, d: 1 }] }))
    const different = [
      { a: [1, 2] },
      { a: [2, 1] },
      { a: [[1], 2] },
      { a: '1,2' },
      { a: ['1', '2'] },
      { a: [] },
      {},
      { a: {} },
      { a: null },
      [1],
      '1',
      1
    ]
    assert.equal(new Set(different.map((value) => canonicalJson(value as never))).size, different.length)
  })
})
