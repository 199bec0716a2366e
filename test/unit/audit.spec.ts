import assert from 'node:assert/strict'
import { appendFile, mkdir, mkdtemp, readFile, readdir, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AuditEvent } from '../../src/core/audit.ts'
import { MAX_AUDIT_BYTES, MAX_AUDIT_FILES, openAuditLog, readAuditLog } from '../../src/data-dir-audit.ts'

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
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'atmo-audit-'))
    file = join(dir, 'audit.log')
    troubles = []
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))
  const opened = () => openAuditLog(dir, (message) => troubles.push(message))
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
      lines.map(({ n, event }) => [n, event]),
      [
        [1, 'start'],
        [2, 'call'],
        [3, 'call'],
        [4, 'stop']
      ]
    )
    assert.match(String(lines[1]!['inputSha256']), /^[0-9a-f]{64}$/)
    assert.notEqual(lines[1]!['inputSha256'], lines[2]!['inputSha256'])
    assert.ok(!(await readFile(file, 'utf8')).includes('a secret'))
    assert.equal((await stat(file)).mode & 0o777, 0o600)
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
    const lines = Math.ceil((MAX_AUDIT_BYTES / reason.length) * (MAX_AUDIT_FILES + 1))
    for (let n = 0; n < lines; n++) {
      log.record({ event: 'revoke', peer: 'p', reason })
      if (n % 50 === 0) await log.flush()
    }
    await log.flush()
    await record(call(1))
    assert.equal((await readdir(dir)).length, MAX_AUDIT_FILES + 1)
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
    const head = await readFile(join(dir, 'audit.head'), 'utf8')
    const lines = good.trimEnd().split('\n')
    for (const [what, left, why] of [
      ['the first', lines.slice(1), /lines 1 to 1 are gone/],
      ['the last', lines.slice(0, -1), /lines 5 to 5 are gone/],
      ['three at the end', lines.slice(0, -3), /lines 3 to 5 are gone/],
      ['all', [], /lines 1 to 5 are gone/],
      ['changed at the end', [...lines.slice(0, -1), lines[4]!.replace('unlock', 'look')], /it was changed/]
    ] as const) {
      await writeFile(file, left.map((line) => `${line}\n`).join(''))
      await writeFile(join(dir, 'audit.head'), head)
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
})
