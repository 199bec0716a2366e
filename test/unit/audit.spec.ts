import assert from 'node:assert/strict'
import { appendFile, mkdir, mkdtemp, readFile, readdir, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { AuditEvent } from '../../src/core/audit.ts'
import { MAX_AUDITED_ARGUMENTS, openAuditLog, readAuditLog } from '../../src/data-dir-audit.ts'
import { MAX_CHAIN_BYTES, MAX_CHAIN_FILES, chainFile, readChain } from '../../src/data-dir-chain.ts'
import { MAX_LINE_BYTES, MAX_QUEUED_BYTES, openChainLog } from '../../src/data-dir-chain-writer.ts'
import { eventually } from '../fixtures/eventually.ts'

const call = (n: number): AuditEvent => ({
  event: 'call',
  peer: '12D3KooW',
  capability: 'door',
  tool: 'unlock',
  durationMs: n,
  input: { code: 'a secret', n }
})

describe('audit log', () => {
  let dir: string
  let file: string
  let troubles: string[]
  let head: string
  let time: number
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'atmo-audit-'))
    file = chainFile(dir, 'audit.calls', 0)
    head = join(dir, 'audit.calls.head')
    time = Date.now()
    troubles = []
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))
  const opened = () =>
    openAuditLog(
      dir,
      (message) => troubles.push(message),
      () => new Date(time++)
    )
  async function record(...events: AuditEvent[]): Promise<void> {
    const log = await opened()
    for (const event of events) log.record(event)
    await log.flush()
  }

  it('keeps what happened, in order, with inputs as digests, for the owner alone; a start goes on with it', async () => {
    await record({ event: 'start', node: 'n' }, call(1))
    await record(call(2), { event: 'stop', node: 'n' })
    const { lines, broken } = await readAuditLog(dir)
    assert.equal(broken, undefined)
    assert.deepEqual(
      lines.map(({ log, n, event }) => [log, n, event]),
      [
        ['audit', 1, 'start'],
        ['audit.calls', 1, 'call'],
        ['audit.calls', 2, 'call'],
        ['audit', 2, 'stop']
      ]
    )
    assert.match(String(lines[1]!['inputSha256']), /^[0-9a-f]{64}$/)
    assert.notEqual(lines[1]!['inputSha256'], lines[2]!['inputSha256'])
    assert.ok(!(await readFile(file, 'utf8')).includes('a secret'))
    assert.equal((await stat(file)).mode & 0o777, 0o600)
  })

  it('keeps what was sent to others as well, and arguments where that is asked for, up to a bound', async () => {
    await record({ ...call(1), event: 'sent' } as AuditEvent)
    const log = await openAuditLog(dir, (message) => troubles.push(message), undefined, { arguments: true })
    const input = { code: 'a secret', list: [1] }
    log.record({ ...call(2), input } as AuditEvent)
    // Who called may change its own.
    input.list.push(2)
    log.record({ ...call(3), input: 'ü'.repeat(MAX_AUDITED_ARGUMENTS / 2) } as AuditEvent)
    await log.flush()
    const { lines, broken } = await readAuditLog(dir)
    assert.deepEqual([broken, troubles], [undefined, []])
    assert.deepEqual(
      lines.map(({ log, event, arguments: given, argumentsTooLong }) => [log, event, given, argumentsTooLong]),
      [
        ['audit.calls', 'sent', undefined, undefined],
        ['audit.calls', 'call', { code: 'a secret', list: [1] }, undefined],
        ['audit.calls', 'call', undefined, MAX_AUDITED_ARGUMENTS + 2]
      ]
    )
    assert.ok(lines.every(({ inputSha256 }) => /^[0-9a-f]{64}$/.test(String(inputSha256))))
  })

  it('lets no more bytes of arguments wait to be written than a bound, and counts what it leaves out', async () => {
    const log = await openAuditLog(dir, (message) => troubles.push(message), undefined, { arguments: true })
    const count = MAX_QUEUED_BYTES / MAX_AUDITED_ARGUMENTS + 100
    for (let n = 0; n < count; n++) log.record({ ...call(n), input: 'x'.repeat(MAX_AUDITED_ARGUMENTS - 2) } as AuditEvent)
    await log.flush()
    // Said with the next.
    log.record(call(0))
    await log.flush()
    const { lines, broken } = await readAuditLog(dir)
    assert.equal(broken, undefined)
    const lost = lines.filter(({ event }) => event === 'lost').reduce((sum, { count: some }) => sum + Number(some), 0)
    assert.ok(lost > 0 && lost <= 100, `${lost} are left out`)
    assert.equal(lines.filter(({ event }) => event === 'call').length + lost, count + 1)
  })

  it('shows a line that was changed, left out, put in or moved', async () => {
    await record(...[1, 2, 3, 4, 5].map(call))
    const good = await readFile(file, 'utf8')
    const lines = good.trimEnd().split('\n')
    const write = (changed: string[]): Promise<void> => writeFile(file, `${changed.join('\n')}\n`)
    for (const [what, changed] of [
      ['changed', lines.map((line, n) => (n === 1 ? line.replace('unlock', 'look') : line))],
      ['left out', lines.filter((_, n) => n !== 2)],
      ['put in', [...lines.slice(0, 2), lines[1]!, ...lines.slice(2)]],
      ['moved', [lines[0]!, lines[2]!, lines[1]!, ...lines.slice(3)]],
      ['no line', [...lines.slice(0, 2), 'hello', ...lines.slice(2)]],
      ['another beginning', [lines[0]!.replace('0000', '1111'), ...lines.slice(1)]]
    ] as const) {
      await write([...changed])
      const { broken } = await readAuditLog(dir)
      assert.equal(broken?.file, file, what)
    }
    await writeFile(file, good)
    assert.equal((await readAuditLog(dir)).broken, undefined)
  })

  it('begins a new file when one is full, keeps a few, and the chain goes through them', async function () {
    this.timeout(60_000)
    const [reason, log] = ['x'.repeat(30_000), await opened()]
    const lines = Math.ceil((MAX_CHAIN_BYTES / reason.length) * (MAX_CHAIN_FILES + 1))
    for (let n = 0; n < lines; n++) {
      log.record({ event: 'revoke', peer: 'p', reason })
      if (n % 50 === 0) await log.flush()
    }
    await log.flush()
    await record({ event: 'revoke', peer: 'p', reason: 'the last' })
    assert.equal((await readdir(dir)).length, MAX_CHAIN_FILES + 1)
    const { lines: kept, broken } = await readAuditLog(dir)
    assert.equal(broken, undefined)
    assert.ok(kept[0]!.n > 1 && kept.at(-1)!.n === lines + 1)
    assert.ok(kept.every(({ n }, index) => n === kept[0]!.n + index))
  })

  it('goes on after a power cut in the middle of a line, and says that there was one', async () => {
    await record(call(1))
    await appendFile(file, '{"n":2,"at":"20')
    await record(call(3))
    const { lines, broken } = await readAuditLog(dir)
    assert.equal(broken, undefined)
    assert.deepEqual(
      lines.map(({ event, bytes, durationMs }) => [event, bytes ?? durationMs]),
      [
        ['call', 1],
        ['torn', 15],
        ['call', 3]
      ]
    )
  })

  it('ends a line that lacks its end alone', async () => {
    await record(call(1))
    await writeFile(file, (await readFile(file, 'utf8')).trimEnd())
    await record(call(2))
    const { lines, broken } = await readAuditLog(dir)
    assert.deepEqual([lines.length, broken], [2, undefined])
  })

  it('shows that its beginning or its end was cut off, or all of it, also after it went on', async () => {
    await record(...[1, 2, 3, 4, 5].map(call))
    const good = await readFile(file, 'utf8')
    const headText = await readFile(head, 'utf8')
    const lines = good.trimEnd().split('\n')
    for (const [what, left, why] of [
      ['the first', lines.slice(1), /lines 1 to 1 are gone/],
      ['the last', lines.slice(0, -1), /lines 5 to 5 are gone/],
      ['three at the end', lines.slice(0, -3), /lines 3 to 5 are gone/],
      ['all', [], /lines 1 to 5 are gone/],
      ['changed at the end', [...lines.slice(0, -1), lines[4]!.replace('unlock', 'look')], /it was changed/]
    ] as const) {
      await writeFile(file, left.map((line) => `${line}\n`).join(''))
      await writeFile(head, headText)
      assert.match((await readAuditLog(dir)).broken?.why ?? '', why, what)
      if (what.startsWith('changed')) continue
      await record(call(6))
      assert.match((await readAuditLog(dir)).broken?.why ?? '', /are gone/, `${what}, and it went on`)
    }
    assert.equal(troubles.length, 3)
  })

  it('counts what it could not write, says so once, and goes on when it can', async () => {
    const log = await opened()
    await mkdir(file)
    log.record(call(1))
    await log.flush()
    log.record(call(2))
    await log.flush()
    assert.equal(troubles.length, 1)
    await rmdir(file)
    log.record(call(3))
    await log.flush()
    const { lines, broken } = await readAuditLog(dir)
    assert.equal(broken, undefined)
    assert.deepEqual(
      lines.map(({ event, count, durationMs }) => [event, count ?? durationMs]),
      [
        ['lost', 2],
        ['call', 3]
      ]
    )
  })

  it('writes calls that come one after the other together, soon, and what was decided at once', async () => {
    const calls = await opened()
    calls.record(call(1))
    calls.record({ event: 'start', node: 'n' })
    await eventually(async () => assert.equal((await readAuditLog(dir)).lines.length, 2))
    const where = { dir, name: 'slow', now: () => new Date(), onTrouble: (message: string) => troubles.push(message) }
    const slow = await openChainLog({ ...where, gatherMs: 600_000 })
    const at = new Date().toISOString()
    for (const event of ['one', 'two']) {
      slow.append({ at, event })
      await nextTurn()
    }
    assert.equal(await stat(chainFile(dir, 'slow', 0)).catch(({ code }: NodeJS.ErrnoException) => code), 'ENOENT')
    await slow.flush()
    const { lines } = await readChain(dir, 'slow')
    assert.deepEqual(
      lines.map(({ n, event }) => [n, event]),
      [
        [1, 'one'],
        [2, 'two']
      ]
    )
    // As much as one write takes does not wait.
    slow.append({ at, event: 'long' }, MAX_QUEUED_BYTES)
    await eventually(async () => assert.equal((await readChain(dir, 'slow')).lines.length, 3))
    assert.deepEqual(troubles, [])
    await Promise.all([calls.flush(), slow.flush()])
  })

  it('keeps what was decided, and who was refused, whatever the number of calls', async function () {
    this.timeout(60_000)
    const log = await opened()
    log.record({ event: 'join', peer: 'p', name: 'x', role: 'member' })
    log.record({ event: 'join-refused', peer: 'q', reason: 'no' })
    const causes = ['x'.repeat(60_000)]
    for (let n = 0; n < ((MAX_CHAIN_FILES + 1) * MAX_CHAIN_BYTES) / 60_000; n++) {
      log.record({ ...call(n), causes } as AuditEvent)
      if (n % 50 === 0) await log.flush()
    }
    log.record({ event: 'revoke', peer: 'p', reason: 'enough' })
    await log.flush()
    const { lines, broken } = await readAuditLog(dir)
    assert.equal(broken, undefined)
    const calls = lines.filter(({ event }) => event === 'call')
    assert.ok(calls[0]!.n > 1, 'calls were pushed out')
    assert.deepEqual(
      lines.filter(({ event }) => event !== 'call').map(({ event }) => event),
      ['join', 'join-refused', 'revoke']
    )
  })

  it('does not lose a decision though more calls wait to be written than are kept', async () => {
    const log = await opened()
    for (let n = 0; n < 12_000; n++) log.record(call(n))
    log.record({ event: 'treaty-revoked', mesh: 'm', serial: 's', by: 'b', reason: '' })
    await log.flush()
    log.record(call(0))
    await log.flush()
    const { lines } = await readAuditLog(dir)
    assert.equal(lines.filter(({ event }) => event === 'treaty-revoked').length, 1)
    const lost = lines.filter(({ event }) => event === 'lost').map(({ count }) => Number(count))
    const written = lines.filter(({ event }) => event === 'call').length
    assert.equal(
      lost.reduce((sum, count) => sum + count, written),
      12_001
    )
    assert.ok(lost.length > 0)
  })

  it('goes on after a line of any length, and writes none that is longer than a bound: its digest stands for it', async () => {
    const long = (n: number, length: number): AuditEvent => ({ ...call(n), causes: ['x'.repeat(length)] }) as AuditEvent
    await record(long(1, MAX_LINE_BYTES - 300), long(2, MAX_LINE_BYTES), long(3, 3 * MAX_LINE_BYTES))
    await record(call(4))
    const { lines, broken } = await readAuditLog(dir)
    assert.equal(broken, undefined)
    assert.deepEqual(
      lines.map(({ n }) => n),
      [1, 2, 3, 4]
    )
    assert.equal((lines[0]!['causes'] as string[])[0]!.length, MAX_LINE_BYTES - 300)
    for (const line of lines.slice(1, 3)) {
      assert.ok(Number(line['tooLong']) > MAX_LINE_BYTES)
      assert.match(String(line['sha256']), /^[0-9a-f]{64}$/)
    }
    for (const line of (await readFile(file, 'utf8')).split('\n')) assert.ok(line.length <= MAX_LINE_BYTES)
    // One that another version wrote.
    await rm(file)
    await rm(head)
    const before = {
      n: 1,
      at: new Date().toISOString(),
      event: 'call',
      causes: 'x'.repeat(3 * MAX_LINE_BYTES),
      prev: '0'.repeat(64)
    }
    await writeFile(file, `${JSON.stringify(before)}\n`)
    await writeFile(head, JSON.stringify({ n: 0, hash: '0'.repeat(64), first: 1 }))
    await record(call(5))
    const after = await readAuditLog(dir)
    assert.deepEqual([after.broken, after.lines.map(({ n }) => n)], [undefined, [1, 2]])
  })

  it('is never called tampered with after a power cut, wherever that came', async () => {
    await record(...[1, 2, 3].map(call))
    const sealed = { log: await readFile(file), head: await readFile(head) }
    await record(...[4, 5, 6].map(call))
    const whole = await readFile(file)
    const written = whole.length - sealed.log.length
    // The head is on disk only after what it says; of what comes after that, any part may be there, in any order.
    const zeros = (from: number, to: number): Buffer =>
      Buffer.concat([whole.subarray(0, from), Buffer.alloc(to - from), whole.subarray(to)])
    const half = sealed.log.length + Math.floor(written / 2)
    const states: [string, Buffer][] = [
      ['nothing of it', sealed.log],
      ['half of it', whole.subarray(0, half)],
      ['all of it', whole],
      ['its length and nothing else', zeros(sealed.log.length, whole.length)],
      ['its end alone', zeros(sealed.log.length, half)],
      ['its beginning alone', zeros(half, whole.length)]
    ]
    for (const [what, text] of states) {
      await writeFile(file, text)
      await writeFile(head, sealed.head)
      assert.equal((await readAuditLog(dir)).broken, undefined, `${what}: before the next start`)
      await record(call(7))
      const { lines, broken, torn } = await readAuditLog(dir)
      assert.deepEqual([broken, torn], [undefined, false], what)
      assert.deepEqual(
        lines.slice(0, 3).map(({ n }) => n),
        [1, 2, 3],
        what
      )
      assert.ok(
        lines.every(({ n }, index) => n === index + 1),
        what
      )
    }
    assert.deepEqual(troubles, [])
  })

  it('has its head on disk before its first line', async () => {
    const log = await opened()
    await mkdir(file)
    log.record(call(1))
    await log.flush()
    assert.deepEqual(JSON.parse(await readFile(head, 'utf8')), { n: 0, hash: '0'.repeat(64), first: 1 })
  })

  it('is not called tampered with after a power cut while a new file began, and is when an old file is gone', async function () {
    this.timeout(60_000)
    const log = await opened()
    const causes = ['x'.repeat(60_000)]
    for (let n = 0; n < (MAX_CHAIN_FILES * MAX_CHAIN_BYTES) / 60_000 + 1; n++) {
      log.record({ ...call(n), causes } as AuditEvent)
      if (n % 50 === 0) await log.flush()
    }
    await log.flush()
    const fileOf = (age: number): string => chainFile(dir, 'audit.calls', age)
    // First the head says what is to go, then each file moves up, the oldest first.
    const { n, hash } = JSON.parse(await readFile(head, 'utf8')) as { n: number; hash: string }
    const [oldest] = (await readFile(fileOf(MAX_CHAIN_FILES - 2), 'utf8')).split('\n', 1)
    await writeFile(head, JSON.stringify({ n, hash, first: (JSON.parse(oldest!) as { n: number }).n }))
    for (let age = MAX_CHAIN_FILES - 1; age > 0; age--) {
      assert.equal((await readAuditLog(dir)).broken, undefined, `before ${age}`)
      await rename(fileOf(age - 1), fileOf(age))
    }
    await record(call(1))
    assert.equal((await readAuditLog(dir)).broken, undefined)
    await rm(fileOf(MAX_CHAIN_FILES - 1))
    assert.match((await readAuditLog(dir)).broken?.why ?? '', /are gone/)
  })
})
