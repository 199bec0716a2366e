import assert from 'node:assert/strict'
import { ERROR_CODES, MeshError, type ErrorCode } from '../../../src/errors.ts'
import { createApp } from '../../../src/http/app.ts'
import { errorResponse } from '../../../src/http/errors.ts'
import { MAX_BODY_BYTES } from '../../../src/http/json-body.ts'
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
      ['DELETE', '/mesh/nodes', 405, 'GET, POST'],
      ['GET', '/capabilities/demo/tools/fail', 405, 'POST'],
      ['POST', '/health', 405, 'GET']
    ] as const) {
      const answer = await app(new Request(`http://localhost${path}`, { method, headers }))
      assert.deepEqual([answer.status, answer.headers.get('allow')], [status, allow], `${method} ${path}`)
      assert.equal(((await answer.json()) as { error: { code: string } }).error.code, 'unsupported')
    }
  })

  it('whatever is wrong with a request, the shape is the same, and says what', async () => {
    const json = { 'content-type': 'application/json' }
    const big = { ...json, 'content-length': String(MAX_BODY_BYTES + 1) }
    const deep = `${'['.repeat(200)}${']'.repeat(200)}`
    const CASES: [
      method: string,
      path: string,
      status: number,
      code: ErrorCode,
      headers: Record<string, string>,
      body?: string
    ][] = [
      ['GET', '/nothing', 404, 'unsupported', {}],
      ['DELETE', '/discover', 405, 'unsupported', {}],
      ['PUT', '/health/detailed', 405, 'unsupported', {}],
      ['POST', '/mesh/topology', 405, 'unsupported', json, '{}'],
      ['GET', '/mesh/topology?depth=2', 400, 'invalid_argument', {}],
      ['GET', '/discover?word=x', 400, 'invalid_argument', {}],
      ['GET', '/discover?status=alive', 400, 'invalid_argument', {}],
      ['POST', '/discover', 415, 'invalid_argument', { 'content-type': 'text/plain' }, '{}'],
      ['POST', '/discover', 400, 'invalid_argument', json, '{'],
      ['POST', '/discover', 400, 'invalid_argument', json, '[]'],
      ['POST', '/discover', 400, 'invalid_argument', json, '{"type":1}'],
      ['POST', '/discover', 400, 'invalid_argument', json, '{"typ":"x"}'],
      ['POST', '/trigger/demo/bell', 400, 'invalid_argument', json, deep],
      ['POST', '/capabilities/demo/tools/fail', 413, 'too_large', big, '{}'],
      ['GET', '/mesh/status', 401, 'permission_denied', { authorization: 'Bearer wrong' }],
      ['GET', '/mesh/status', 403, 'permission_denied', { host: 'evil.example' }]
    ]
    for (const [method, path, status, code, headers, body] of CASES) {
      const all = { authorization: `Bearer ${token}`, ...headers }
      const answer = await app(
        new Request(`http://localhost${path}`, { method, headers: all, ...(body !== undefined && { body }) })
      )
      const told = (await answer.json()) as { error: { code: string; message: string; details: object } }
      const name = `${method} ${path} ${body ?? ''}`
      assert.deepEqual([answer.status, told.error.code], [status, code], name)
      assert.deepEqual(Object.keys(told), ['error'], name)
      assert.deepEqual(Object.keys(told.error).sort(), ['code', 'details', 'message'], name)
      assert.match(answer.headers.get('content-type') ?? '', /^application\/json/, name)
      assert.equal(answer.headers.has('allow'), status === 405, name)
    }
  })

  it('names the key that is wrong as the request has it', async () => {
    const ask = async (path: string, init?: object): Promise<unknown> => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const answer = await app(new Request(`http://localhost${path}`, { headers, ...init }))
      const { error } = (await answer.json()) as { error: { code: string; details: object } }
      return [answer.status, error.code, error.details]
    }
    const wrong = [400, 'invalid_argument', { key: 'words' }]
    assert.deepEqual(await ask('/discover', { method: 'POST', body: '{"words":" "}' }), wrong)
    assert.deepEqual(await ask('/discover?words='), wrong)
  })
})
