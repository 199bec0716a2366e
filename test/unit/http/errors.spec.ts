import assert from 'node:assert/strict'
import { ERROR_CODES, MeshError, type ErrorCode } from '../../../src/errors.ts'
import { createApp } from '../../../src/http/app.ts'
import { errorResponse } from '../../../src/http/errors.ts'
import { createFakeMesh } from '../../fixtures/fake-mesh.ts'

const token = 'T'.repeat(43)
const post = (body: unknown, accept?: string) =>
  new Request('http://localhost/capabilities/demo/tools/fail', {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...(accept && { accept }) },
    body: JSON.stringify(body)
  })

describe('http errors', () => {
  const mesh = createFakeMesh({
    async fail(input) {
      if (input['code'] === 'foreign') throw Object.assign(new Error('boom'), { secret: 'stack' })
      throw new MeshError(input['code'] as ErrorCode, 'as asked', { pointer: '/x' })
    }
  })
  const app = createApp({ mesh, tokens: [token] })

  for (const [code, { httpStatus }] of Object.entries(ERROR_CODES)) {
    it(`${code} is ${httpStatus}, in one shape`, async () => {
      const answer = await app(post({ input: { code } }))
      assert.equal(answer.status, httpStatus)
      assert.match(answer.headers.get('content-type') ?? '', /^application\/json/)
      assert.deepEqual(await answer.json(), { error: { code, message: 'as asked', details: { pointer: '/x' } } })
    })
    it(`${code} ends a stream as its last line`, async () => {
      const answer = await app(post({ input: { code } }, 'application/x-ndjson'))
      assert.equal(answer.status, 200)
      assert.deepEqual(JSON.parse(await answer.text()), {
        status: 'error',
        error: { code, message: 'as asked', details: { pointer: '/x' } }
      })
    })
  }

  it('what may be tried again after a time says so in the header, in whole seconds', () => {
    const after = (code: ErrorCode, retryAfterMs: unknown): string | null =>
      errorResponse(new MeshError(code, 'later', { retryAfterMs })).headers.get('retry-after')
    assert.deepEqual([after('unavailable', 1_000), after('busy', 1_001), after('busy', 0)], ['1', '2', '0'])
    for (const odd of [undefined, '5', -1, NaN, Infinity]) assert.equal(after('busy', odd), null)
    assert.deepEqual([after('busy', 1e300), after('invalid_argument', 5)], ['86400', null])
  })

  it('a foreign error becomes internal and shows no stack', async () => {
    const answer = await app(post({ input: { code: 'foreign' } }))
    const text = await answer.text()
    assert.equal(answer.status, 500)
    assert.deepEqual(JSON.parse(text), { error: { code: 'internal', message: 'boom', details: {} } })
    assert.equal(errorResponse('a string').status, 500)
  })

  it('unknown routes are 404, unknown methods of known ones 405 with those that they take, both as JSON', async () => {
    const headers = { authorization: `Bearer ${token}` }
    for (const [method, path, status, allow] of [
      ['GET', '/', 404, null],
      ['GET', '/mesh', 404, null],
      ['DELETE', '/mesh/peers', 405, 'GET, POST'],
      ['GET', '/capabilities/demo/tools/fail', 405, 'POST'],
      ['POST', '/health', 405, 'GET']
    ] as const) {
      const answer = await app(new Request(`http://localhost${path}`, { method, headers }))
      assert.deepEqual([answer.status, answer.headers.get('allow')], [status, allow], `${method} ${path}`)
      assert.equal(((await answer.json()) as { error: { code: string } }).error.code, 'unsupported')
    }
  })
})
