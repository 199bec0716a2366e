import assert from 'node:assert/strict'
import { serveApi, type ApiServer } from '../../../src/http/serve.ts'
import { dropped } from '../../../src/http/trigger-routes.ts'
import { ask, type ApiAnswer } from '../../fixtures/api-request.ts'
import { createFakeMesh, type FakeMesh } from '../../fixtures/fake-mesh.ts'

const token = 'T'.repeat(43)

describe('http triggers', () => {
  let mesh: FakeMesh
  let server: ApiServer
  beforeEach(async () => {
    mesh = createFakeMesh()
    server = await serveApi({ mesh, token })
  })
  afterEach(() => server.close())
  const fire = (json: unknown, path = '/trigger/demo/bell'): Promise<ApiAnswer> => ask(server.url, path, { token, json })

  it('200 when a handler has it, 202 when it waits, or goes with others', async () => {
    const { status, json } = await fire({ n: 1 }, '/trigger/demo/bell?waitMs=7')
    assert.deepEqual([status, json['outcome'], (json['tried'] as string[]).length], [200, 'delivered', 1])
    for (const outcome of ['queued', 'coalesced']) {
      const answer = await fire(outcome)
      assert.deepEqual([answer.status, answer.json['outcome']], [202, outcome])
    }
    const notKept = await fire('not kept')
    assert.deepEqual([notKept.status, notKept.json['kept'], notKept.json['reason']], [202, false, 'not_kept'])
  })

  it('what goes nowhere is an error: 503 if it may go well later, else 409', async () => {
    for (const [reason, status, code] of [
      ['full', 503, 'unavailable'],
      ['too_deep', 409, 'conflict'],
      ['permission_denied', 409, 'conflict']
    ] as const) {
      const { status: given, json } = await fire(reason)
      assert.deepEqual([given, json.error?.code, json.error?.details['reason']], [status, code, reason])
    }
  })

  it('what a handler has refused says who that was, and where it stands what it said', () => {
    const { message } = dropped({ reason: 'invalid_argument', tried: ['guard@kitchen'] })
    assert.match(message, /refused by guard@kitchen \(invalid_argument\); atmo dead-letters/)
    assert.match(dropped({ reason: 'too_deep', tried: ['guard@kitchen'] }).message, /goes nowhere: too_deep/)
  })

  it('any JSON is a payload, and none is null; what is none is refused, and so are unknown triggers', async () => {
    const fired: unknown[] = []
    const { fire: real } = mesh
    mesh.fire = (capability, event, payload, options) => {
      fired.push(payload, options)
      return real(capability, event, payload, options)
    }
    await fire([1, 'x'])
    await ask(server.url, '/trigger/demo/bell', { token, method: 'POST', headers: { 'content-type': 'application/json' } })
    // `curl -X POST URL`, and a client that says that there is nothing.
    await ask(server.url, '/trigger/demo/bell', { token, method: 'POST' })
    await ask(server.url, '/trigger/demo/bell', { token, method: 'POST', headers: { 'content-length': '0' } })
    assert.deepEqual(fired, [[1, 'x'], {}, null, {}, null, {}, null, {}])
    const text = { token, body: 'x', headers: { 'content-type': 'application/json' } }
    assert.equal((await ask(server.url, '/trigger/demo/bell', text)).status, 400)
    assert.equal((await ask(server.url, '/trigger/demo/bell', { token, body: '1' })).status, 415)
    assert.equal((await fire(1, '/trigger/lamp/bell')).status, 404)
    const unknown = await fire(1, '/trigger/demo/ring')
    assert.deepEqual([unknown.status, unknown.json.error?.code], [404, 'unknown_trigger'])
    assert.equal((await fire(1, '/trigger/demo/bell?waitMs=x')).status, 400)
    assert.equal((await fire(1, '/trigger/demo/bell?wait=1')).status, 400)
    assert.equal((await ask(server.url, '/trigger/demo/bell', { json: 1 })).status, 401)
  })

  it('a key in the header makes it the same event again: as the draft has it, or plain', async () => {
    const keys: unknown[] = []
    const { fire: real } = mesh
    mesh.fire = (capability, event, payload, options) => {
      keys.push(options?.key)
      return real(capability, event, payload, options)
    }
    const keyed = (key: string): Promise<ApiAnswer> =>
      ask(server.url, '/trigger/demo/bell', { token, json: 1, headers: { 'idempotency-key': key } })
    const answers = [await keyed('"again"'), await keyed('again'), await keyed('"a \\"b\\" \\\\ c"'), await keyed('"17, 18"')]
    assert.deepEqual(
      answers.map(({ status, json }) => [status, json['duplicate']]),
      [
        [200, true],
        [200, true],
        [200, undefined],
        [200, undefined]
      ]
    )
    assert.deepEqual(keys, ['again', 'again', 'a "b" \\ c', '17, 18'])
    for (const wrong of ['a, b', '"a', 'a"', '"a" "b"', '"a";q=1', 'a b', '"\\n"', 'gr\u00fc\u00df', '']) {
      const { status, json } = await keyed(wrong)
      assert.deepEqual(
        [status, json.error?.code, json.error?.details['key']],
        [400, 'invalid_argument', 'Idempotency-Key'],
        wrong
      )
    }
    assert.equal(keys.length, 4)
  })

  it('what waits is listed, and one may be discarded', async () => {
    const { json } = await ask(server.url, '/mesh/outbox', { token })
    assert.deepEqual(json, JSON.parse(JSON.stringify(mesh.waitingEvents())))
    const gone = await ask(server.url, '/mesh/outbox/1-9', { token, method: 'DELETE' })
    assert.deepEqual([gone.status, gone.json.error?.code], [404, 'not_found'])
    assert.deepEqual((await ask(server.url, '/mesh/outbox/1-6', { token, method: 'DELETE' })).json, { id: '1-6' })
    assert.equal(mesh.waitingEvents().total, 0)
  })

  it('dead letters are listed, sent anew, and discarded', async () => {
    const { json } = await ask(server.url, '/mesh/dead-letters', { token })
    assert.deepEqual(json['letters'], JSON.parse(JSON.stringify(mesh.deadLetters())))
    assert.equal((await ask(server.url, '/mesh/dead-letters/1-9/replay', { token, json: {} })).status, 404)
    assert.equal((await ask(server.url, '/mesh/dead-letters/1-9', { token, method: 'DELETE' })).status, 404)
    assert.deepEqual((await ask(server.url, '/mesh/dead-letters/1-7/replay', { token, json: {} })).json, { id: '1-7' })
    assert.deepEqual(mesh.deadLetters(), [])
  })

  it('one is discarded', async () => {
    assert.deepEqual((await ask(server.url, '/mesh/dead-letters/1-7', { token, method: 'DELETE' })).json, { id: '1-7' })
    assert.deepEqual(mesh.deadLetters(), [])
  })
})
