/** What every backend promises. Each backend's spec calls {@link backendContract} with a way to make one. */
import assert from 'node:assert/strict'
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { Backend } from '../../src/backends/backend.ts'
import type { Item, JsonObject, JsonValue } from '../../src/core/invoke.ts'
import { isMeshError } from '../../src/errors.ts'
import type { ErrorCode, MeshError } from '../../src/errors.ts'

/** A backend and calls to try it with. */
export interface BackendUnderTest {
  backend: Backend
  capability: string
  /** A tool whose result shows `n` of its input. */
  echo: { tool: string; input(n: number): JsonObject; output(n: number): JsonValue }
  /** A tool that sends an item soon and then runs until it is stopped. `isGone` says whether what it started has ended. */
  slow?: { tool: string; input: JsonObject; isGone(items: Item[]): boolean | Promise<boolean> }
  failing?: { tool: string; input: JsonObject; message: RegExp }
  dispose?(): void | Promise<void>
}

/** Time in which things that end must have ended, in ms. */
export const DEADLINE_MS = 8_000

/** Fails if the promise is not settled in time. */
export async function within<T>(promise: Promise<T>, what: string, ms = DEADLINE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error(`too late: ${what}`)), ms)))
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** Resolves when the condition holds; for what the system tells nobody, such as the end of a process that is not our child. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, ms = DEADLINE_MS): Promise<void> {
  const end = performance.now() + ms
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`too late: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** True if there is no such process. A zombie counts as gone. */
export async function isProcessGone(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch {
    return true
  }
  const { readFile } = await import('node:fs/promises')
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z')
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z')
}

/** A backend whose `discover` runs. */
export interface Running {
  /** The next snapshot that fits; fails after {@link DEADLINE_MS}. */
  snapshot(fits?: (capability: CapabilityDeclaration) => boolean): Promise<CapabilityDeclaration>
  stop(): Promise<void>
}

/** Starts `discover` as a node would. */
export function run(backend: Backend): Running {
  const controller = new AbortController()
  const iterator = backend.discover(controller.signal)[Symbol.asyncIterator]()
  let ended: Promise<unknown> | undefined
  return {
    async snapshot(fits = () => true) {
      const search = async (): Promise<CapabilityDeclaration> => {
        for (;;) {
          const step = await iterator.next()
          assert.equal(step.done ?? false, false, 'discover ended')
          const found = (step.value as CapabilityDeclaration[]).find(fits)
          if (found !== undefined) return found
        }
      }
      return within(search(), 'a snapshot')
    },
    stop() {
      controller.abort()
      ended ??= (async () => {
        while ((await iterator.next()).done !== true);
      })()
      return within(
        ended.then(() => {}),
        'the end of discover'
      )
    }
  }
}

/** A request to a backend; the caller is made up. */
export function invoke(
  backend: Backend,
  capability: string,
  tool: string,
  input: JsonValue = {},
  options: { signal?: AbortSignal; stream?: AsyncIterable<Item> } = {}
): AsyncIterable<Item> {
  const { signal = new AbortController().signal, stream } = options
  return backend.call({ capability, tool, input, stream, caller: '12D3KooWCaller' }, { signal })
}

/** Reads a call to its end. */
export async function collect(call: AsyncIterable<Item>): Promise<Item[]> {
  const items: Item[] = []
  const read = async (): Promise<void> => {
    for await (const item of call) items.push(item)
  }
  await within(read(), 'the end of a call', 25_000)
  return items
}

/** The result of a call. */
export async function resultOf(call: AsyncIterable<Item>): Promise<JsonValue> {
  const last = (await collect(call)).at(-1)
  return last?.kind === 'result' ? last.value : null
}

/** The error of a call, which must be of the given code. */
export async function errorOf(call: AsyncIterable<Item>, code: ErrorCode): Promise<MeshError> {
  try {
    await collect(call)
  } catch (error) {
    assert.ok(isMeshError(error), `not a MeshError: ${String(error)}`)
    assert.equal(error.code, code, error.message)
    return error
  }
  assert.fail(`no ${code}`)
}

/** Open things of this process that a backend could have left behind. */
function openResources(): string[] {
  return process.getActiveResourcesInfo().filter((name) => /ProcessWrap|PipeWrap|TCPSocketWrap|FileHandle|FSReq/.test(name))
}

const SLOW = 'a backend has a tool that runs long enough to be stopped, or says that it is `instant`'

/** The suite that every backend passes. `instant`: none of its tools runs long enough to be stopped. */
export function backendContract(
  name: string,
  makeBackend: () => BackendUnderTest | Promise<BackendUnderTest>,
  { instant = false }: { instant?: boolean } = {}
): void {
  describe(`backend contract: ${name}`, () => {
    let subject: BackendUnderTest
    let running: Running
    let first: CapabilityDeclaration
    let before: number

    beforeEach(async () => {
      before = openResources().length
      subject = await makeBackend()
      running = run(subject.backend)
      first = await running.snapshot(({ id }) => id === subject.capability)
    })
    afterEach(async () => {
      await running.stop()
      await subject.dispose?.()
    })

    const call = (tool: string, input: JsonValue, signal?: AbortSignal): AsyncIterable<Item> =>
      invoke(subject.backend, subject.capability, tool, input, { signal })

    it('says what it offers, in valid names', () => {
      assert.match(first.id, /^[a-z0-9][a-z0-9._:-]{0,127}$/)
      assert.match(first.type, /^[a-z0-9_.-]+(\/[a-z0-9_.-]+)*$/)
      assert.ok(['online', undefined].includes(first.status), first.statusReason)
      const names = (first.tools ?? []).map((tool) => tool.name)
      assert.equal(new Set(names).size, names.length)
      for (const tool of names) assert.match(tool, /^[A-Za-z0-9_.-]{1,128}$/)
      assert.ok(names.includes(subject.echo.tool))
      assert.deepEqual(JSON.parse(JSON.stringify(first)), first, 'a declaration is plain JSON, without undefined')
    })

    it('answers with items and one result, which is last', async () => {
      const items = await collect(call(subject.echo.tool, subject.echo.input(7)))
      assert.deepEqual(
        items.filter((item) => item.kind === 'result'),
        [{ kind: 'result', value: subject.echo.output(7) }]
      )
      assert.equal(items.at(-1)?.kind, 'result')
    })

    it('does not mix calls that run at once', async () => {
      const numbers = Array.from({ length: 8 }, (_, n) => n)
      const results = await Promise.all(numbers.map((n) => resultOf(call(subject.echo.tool, subject.echo.input(n)))))
      assert.deepEqual(
        results,
        numbers.map((n) => subject.echo.output(n))
      )
    })

    it('refuses what it does not have', async () => {
      const error = await errorOf(call('no-such-tool', {}), 'unknown_tool')
      assert.match(error.message, /no-such-tool/)
      await errorOf(invoke(subject.backend, 'no-such-capability', subject.echo.tool), 'unknown_capability')
    })

    it('refuses a call that is cancelled before it begins', async () => {
      await errorOf(call(subject.echo.tool, subject.echo.input(1), AbortSignal.abort()), 'cancelled')
    })

    it('tells why a tool failed, where it has one that can', async function () {
      if (subject.failing === undefined) return
      const error = await errorOf(call(subject.failing.tool, subject.failing.input), 'tool_failed')
      assert.match(error.message, subject.failing.message)
    })

    const stopping = (): void => {
      for (const [reason, code] of [
        ['AbortError', 'cancelled'],
        ['TimeoutError', 'deadline_exceeded']
      ] as const) {
        it(`ends with ${code} when the signal aborts, and stops the work`, async function () {
          const { slow } = subject
          assert.ok(slow !== undefined, SLOW)
          const controller = new AbortController()
          const items: Item[] = []
          const read = async (): Promise<void> => {
            for await (const item of call(slow.tool, slow.input, controller.signal)) {
              items.push(item)
              controller.abort(new DOMException('test', reason))
            }
          }
          await assert.rejects(within(read(), 'the end of an aborted call'), (error) => isMeshError(error, code))
          await until(() => slow.isGone(items), 'the end of the work')
        })
      }

      it('stops the work when the iteration is left', async function () {
        const { slow } = subject
        assert.ok(slow !== undefined, SLOW)
        const items: Item[] = []
        const read = async (): Promise<void> => {
          for await (const item of call(slow.tool, slow.input)) {
            items.push(item)
            break
          }
        }
        await within(read(), 'leaving a call')
        assert.equal(items.length, 1)
        await until(() => slow.isGone(items), 'the end of the work')
      })
    }
    if (!instant) stopping()

    it('leaves nothing behind when it is stopped, not even a running call', async function () {
      const items: Item[] = []
      let ended: Promise<unknown> = Promise.resolve()
      const { slow } = subject
      if (slow !== undefined) {
        const iterator = call(slow.tool, slow.input)[Symbol.asyncIterator]()
        items.push((await within(iterator.next(), 'the first item')).value as Item)
        const drain = async (): Promise<void> => {
          while ((await iterator.next()).done !== true);
        }
        ended = assert.rejects(within(drain(), 'the end of the call'), (error) => isMeshError(error, 'unavailable'))
      }
      await running.stop()
      await ended
      if (slow !== undefined) await until(() => slow.isGone(items), 'the end of the work')
      await errorOf(call(subject.echo.tool, subject.echo.input(1)), 'unavailable')
      await subject.dispose?.()
      await until(() => openResources().length <= before, `closed resources, open: ${openResources().join()}`)
    })
  })
}
