import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  MAX_GRANT_MS,
  MAX_SHOWN_INPUT,
  MAX_WAITING,
  createApprovals,
  type ApprovalRequest,
  type Approvals
} from '../../../src/calls/approvals.ts'
import { isMeshError } from '../../../src/errors.ts'
import type { ApprovalView, CallApproval } from '../../../src/mesh-api.ts'

const request = (change: Partial<Extract<ApprovalRequest, { kind: 'call' }>> = {}): ApprovalRequest => ({
  kind: 'call',
  caller: 'a',
  callerName: 'laptop',
  callerRole: 'member',
  capability: 'door',
  tool: 'unlock',
  input: { code: 1 },
  ...change
})
const never = (): AbortSignal => new AbortController().signal

describe('approvals', () => {
  let time: number
  let asked: ApprovalView[]
  let approvals: Approvals
  beforeEach(() => {
    time = 0
    asked = []
    approvals = createApprovals(
      () => time,
      (view) => asked.push(view)
    )
  })

  it('let a call wait until somebody says yes or no', async () => {
    const [yes, no] = [approvals.ask(request(), never()), approvals.ask(request({ caller: 'b' }), never())]
    time = 1_500
    assert.deepEqual(
      approvals.list().map((view) => [view.caller, view.waitingMs, view.kind === 'call' && view.input]),
      [
        ['a', 1_500, { code: 1 }],
        ['b', 1_500, { code: 1 }]
      ]
    )
    assert.equal(approvals.answer(asked[0]!.id, true).caller, 'a')
    approvals.answer(asked[1]!.id, false)
    await yes
    await assert.rejects(no, (error) => isMeshError(error, 'permission_denied') && error.details['reason'] === 'not_approved')
    assert.deepEqual(approvals.list(), [])
    assert.throws(() => approvals.answer(asked[0]!.id, true), { code: 'not_found' })
  })

  it('end when the caller cancels or its time is over', async () => {
    const controller = new AbortController()
    const waits = approvals.ask(request(), controller.signal)
    controller.abort()
    await assert.rejects(waits, { code: 'cancelled' })
    assert.deepEqual(approvals.list(), [])
    await assert.rejects(approvals.ask(request(), controller.signal), { code: 'cancelled' })
    assert.equal(asked.length, 1)
  })

  it('may hold for a time, for the same caller and tool alone', async () => {
    const first = approvals.ask(request(), never())
    assert.throws(() => approvals.answer(asked[0]!.id, true, MAX_GRANT_MS + 1), { code: 'invalid_argument' })
    assert.throws(() => approvals.answer(asked[0]!.id, true, NaN), { code: 'invalid_argument' })
    approvals.answer(asked[0]!.id, true, 60_000)
    await first
    time = 59_999
    assert.ok(approvals.isGranted(request({ input: {} })))
    for (const change of [{ caller: 'b' }, { tool: 'lock' }, { capability: 'gate' }, { causes: ['c'] }])
      assert.ok(!approvals.isGranted(request(change)))
    time = 60_000
    assert.ok(!approvals.isGranted(request()))
  })

  it('are bounded, also for one caller, and show no more than people can read', async () => {
    for (let n = 0; n < MAX_WAITING.caller; n++) void approvals.ask(request(), never())
    await assert.rejects(approvals.ask(request(), never()), { code: 'busy' })
    for (let n = MAX_WAITING.caller; n < MAX_WAITING.all; n++) void approvals.ask(request({ caller: `c${n}` }), never())
    await assert.rejects(approvals.ask(request({ caller: 'late' }), never()), { code: 'busy' })
    approvals.answer(asked[0]!.id, true)
    void approvals.ask(request({ caller: 'late', input: 'x'.repeat(100_000) }), never())
    assert.ok(JSON.stringify(approvals.list().at(-1)).length < 3_000)
  })

  it('say how much an input is, its hash, and that a list cuts it; the whole is there by its id', () => {
    const hidden = { padding: ' '.repeat(2_100), command: 'rm -rf / ü' }
    const json = JSON.stringify(hidden)
    void approvals.ask(request({ input: hidden }), never())
    void approvals.ask(request(), never())
    const [cut, short] = approvals.list() as CallApproval[]
    const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
    assert.deepEqual([cut!.inputCut, cut!.inputBytes, cut!.inputSha256], [true, Buffer.byteLength(json), sha256(json)])
    assert.equal(cut!.input, `${json.slice(0, MAX_SHOWN_INPUT)}…`)
    assert.equal((asked[0] as CallApproval).inputCut, true)
    assert.deepEqual([short!.inputCut, short!.inputBytes, short!.inputSha256], [undefined, 10, sha256('{"code":1}')])
    const whole = approvals.whole(asked[0]!.id) as CallApproval
    const { inputCut: _cut, ...rest } = cut!
    assert.deepEqual(whole, { ...rest, input: hidden })
    assert.throws(() => approvals.whole('99'), { code: 'not_found' })
  })

  it('are void for a node that loses its rights: what was allowed for a time, and what waits for it or on its behalf', async () => {
    const granted = request({ tool: 'open', causes: ['lost'] })
    for (const one of [request({ caller: 'lost' }), granted, request({ caller: 'b' })]) {
      const allowed = approvals.ask(one, never())
      approvals.answer(asked.at(-1)!.id, true, 60_000)
      await allowed
    }
    const own = approvals.ask(request({ caller: 'lost', tool: 'other' }), never())
    const behalf = approvals.ask(request({ causes: ['c', 'lost'] }), never())
    void approvals.ask(request({ caller: 'b', tool: 'other' }), never())
    approvals.forget('lost')
    for (const one of [own, behalf]) await assert.rejects(one, { code: 'permission_denied', details: { reason: 'revoked' } })
    assert.deepEqual(
      approvals.list().map(({ caller }) => caller),
      ['b']
    )
    assert.deepEqual([request({ caller: 'lost' }), granted, request({ caller: 'b' })].map(approvals.isGranted), [
      false,
      false,
      true
    ])
    assert.ok(
      !approvals.isGranted(request({ caller: 'b', meshId: 'club' })),
      'nor does it hold for the same node in another mesh'
    )
  })

  it('let a node in once, not for a time, however many calls wait', async () => {
    for (let n = 0; n < MAX_WAITING.all; n++) void approvals.ask(request({ caller: `c${n}` }), never())
    const joins = approvals.ask({ kind: 'join', caller: 'pi', name: 'pi', role: 'member', code: '000001' }, never())
    const { id } = asked.at(-1)!
    assert.throws(() => approvals.answer(id, true, 1_000), { code: 'invalid_argument' })
    assert.deepEqual(approvals.answer(id, true), {
      id,
      kind: 'join',
      caller: 'pi',
      name: 'pi',
      role: 'member',
      code: '000001',
      waitingMs: 0
    })
    await joins
    void approvals.ask({ kind: 'join', caller: 'pi', name: 'pi', role: 'member', code: '000002' }, never())
    assert.equal(asked.length, MAX_WAITING.all + 2)
  })
})
