import assert from 'node:assert/strict'
import { Validator } from '@seriousme/openapi-schema-validator'
import type { JsonObject } from '../../../protocols/json.ts'
import { ERROR_CODES } from '../../../src/errors.ts'
import { createApp, createRouter } from '../../../src/http/app.ts'
import { openApiDocument } from '../../../src/http/openapi/document.ts'
import { OPERATIONS, routeOf } from '../../../src/http/openapi/operations.ts'
import { createAnswerCheck } from '../../fixtures/api-answers.ts'
import { createFakeMesh } from '../../fixtures/fake-mesh.ts'

const token = 'T'.repeat(43)
const init = { tokens: [token] }
/** Patterns of the router are no part of the document. */
const shown = (route: string): string => route.replace(/\{[^}]*\}$/, '')
const fits = createAnswerCheck()

describe('http openapi', () => {
  const app = createApp({
    ...init,
    mesh: createFakeMesh({ ping: async () => 'pong' }, [], {
      changed: {
        since: '2026-01-01T00:00:00.000Z',
        hash: 'ab'.repeat(32),
        capability: [{ what: 'name', before: 'a' }],
        tools: []
      }
    }),
    readings: async () => ({
      eventLoop: { lagMs: 1, utilization: 0.1 },
      memory: { rssBytes: 1, heapUsedBytes: 1, heapLimitBytes: 10 },
      disk: { writable: true, freeBytes: 1e9 }
    }),
    change: { enter: async () => ({ id: 'm', name: 'home' }), leave: async () => ({ id: 'm', name: 'home' }) }
  })
  const ask = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    app(
      new Request(`http://localhost${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers
        },
        ...(body !== undefined && { body: JSON.stringify(body) })
      })
    )

  it('names every route that there is, and none that there is not', () => {
    const { routes } = createRouter({ ...init, mesh: createFakeMesh() })
    const real = new Set(routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => shown(`${method} ${path}`)))
    assert.deepEqual([...real].sort(), OPERATIONS.map(routeOf).sort())
  })

  it('is what the specification of OpenAPI 3.1 says', async function () {
    this.timeout(30_000)
    const validator = new Validator()
    const { valid, errors } = await validator.validate(structuredClone(openApiDocument()))
    assert.ok(valid, JSON.stringify(errors))
    assert.equal(validator.version, '3.1')
    const broken = { ...openApiDocument(), info: { title: 'no version' } }
    assert.equal((await validator.validate(broken)).valid, false, 'the check can fail')
  })

  it('refers to nothing that is not there, has no schema that nothing refers to, and no operation twice', () => {
    const document = openApiDocument()
    const names = Object.keys((document['components'] as JsonObject)['schemas'] as JsonObject).sort()
    const referred = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name!)
    assert.deepEqual([...new Set(referred)].sort(), names)
    const ids = [...JSON.stringify(document).matchAll(/"operationId":"(\w+)"/g)].map(([, id]) => id)
    assert.deepEqual([ids.length, new Set(ids).size], [OPERATIONS.length, OPERATIONS.length])
  })

  it('describes each parameter of a path, and statuses that errors have', () => {
    const statuses = new Set<number>([401, 415, ...Object.values(ERROR_CODES).map(({ httpStatus }) => httpStatus)])
    for (const { method, path, parameters = {}, errors = [], query = {}, required = [] } of OPERATIONS) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      assert.deepEqual(Object.keys(parameters), named, `${method} ${path}`)
      for (const status of errors) assert.ok(statuses.has(status), `${method} ${path} ${status}`)
      for (const name of required) assert.ok(name in query, `${method} ${path} ${name}`)
    }
  })

  it('says which bodies may be left out', () => {
    const paths = openApiDocument()['paths'] as Record<string, Record<string, { requestBody?: { required: boolean } }>>
    assert.equal(paths['/trigger/{capability}/{event}']?.['post']?.requestBody?.required, false)
    assert.equal(paths['/capabilities/{id}/tools/{tool}']?.['post']?.requestBody?.required, true)
  })

  /** Requests to the stand-in, and the statuses that they have to get. */
  const REQUESTS: [method: string, path: string, status: number, body?: unknown, asked?: string][] = [
    ['get', '/mesh/status', 200],
    ['get', '/mesh/nodes', 200],
    ['post', '/mesh/nodes', 200, { multiaddr: '/ip4/192.0.2.1/tcp/4001' }],
    ['get', '/mesh/topology', 200],
    ['get', '/mesh/capabilities', 200],
    ['get', '/discover', 200],
    ['get', '/discover', 200, undefined, '/discover?words=demo'],
    ['post', '/discover', 200, { words: 'demo', type: '**' }],
    ['get', '/mesh/meaning', 200, undefined, '/mesh/meaning?text=demo'],
    ['get', '/mesh/meaning/examples', 200],
    ['post', '/mesh/meaning/examples', 201, { text: 'as a model says', capability: 'demo' }],
    ['post', '/mesh/meaning/examples', 201, { text: 'ring', capability: 'demo' }],
    ['delete', '/mesh/meaning/examples', 200],
    ['get', '/mesh/routes', 200],
    ['get', '/mesh/route', 200, undefined, '/mesh/route?target=demo'],
    ['get', '/health', 200],
    ['get', '/health/detailed', 200],
    ['get', '/openapi.json', 200],
    ['post', '/mesh/enter', 202, { state: 's', peer: { id: 'i', address: 'a' } }],
    ['post', '/mesh/leave', 202, {}],
    ['post', '/mesh/stop', 202, {}],
    ['post', '/capabilities/{id}/tools/{tool}', 200, { input: {} }, '/capabilities/demo/tools/ping'],
    ['post', '/trigger/{capability}/{event}', 200, {}, '/trigger/demo/bell'],
    ['post', '/trigger/{capability}/{event}', 202, 'away', '/trigger/demo/bell'],
    ['post', '/trigger/{capability}/{event}', 202, 'coalesced', '/trigger/demo/bell'],
    ['get', '/mesh/outbox', 200],
    ['delete', '/mesh/outbox/{id}', 200, undefined, '/mesh/outbox/1-6'],
    ['get', '/mesh/dead-letters', 200],
    ['post', '/mesh/dead-letters/{id}/replay', 200, undefined, '/mesh/dead-letters/1-7/replay'],
    ['get', '/mesh/agents', 200],
    ['get', '/mesh/members', 200],
    ['post', '/mesh/invites', 201, {}],
    ['post', '/mesh/door', 201, {}],
    ['post', '/mesh/revocations', 201, { node: 'kitchen' }],
    ['post', '/mesh/rotations', 201, {}],
    ['get', '/mesh/approvals', 200],
    ['get', '/mesh/approvals/{id}', 200, undefined, '/mesh/approvals/1'],
    ['post', '/mesh/approvals/{id}', 200, { allow: true }, '/mesh/approvals/1'],
    ['post', '/mesh/descriptors/accept', 200, { node: 'kitchen', capability: 'demo' }],
    ['get', '/mesh/treaties', 200],
    ['post', '/mesh/treaties', 201, { code: 'ATMOT1FAKE' }],
    ['post', '/mesh/treaties/show', 200, { code: 'ATMOT1FAKE' }],
    ['post', '/mesh/treaties/offers', 201, { mesh: 'm' }],
    ['post', '/mesh/treaties/revocations', 201, { treaty: 'club' }],
    ['get', '/v1/models', 200],
    ['get', '/v1/models/{model}', 404, undefined, '/v1/models/nosuch'],
    ['post', '/v1/embeddings', 404, { model: 'nosuch', input: 'x' }],
    ['post', '/mesh/approvals/{id}', 400, { alow: true }, '/mesh/approvals/1'],
    ['post', '/capabilities/{id}/tools/{tool}', 404, {}, '/capabilities/nosuch/tools/x'],
    ['delete', '/mesh/outbox/{id}', 404, undefined, '/mesh/outbox/1-9'],
    ['post', '/mesh/dead-letters/{id}/replay', 404, undefined, '/mesh/dead-letters/1-9/replay'],
    ['delete', '/mesh/dead-letters/{id}', 404, undefined, '/mesh/dead-letters/1-9'],
    ['get', '/mesh/approvals/{id}', 404, undefined, '/mesh/approvals/9'],
    ['get', '/mesh/agents/{id}', 501, undefined, '/mesh/agents/x'],
    ['get', '/mesh/route', 400]
  ]
  for (const [method, path, status, body, asked = path] of REQUESTS)
    it(`${method} ${asked} answers ${status} as described`, async () => {
      const answer = await ask(method.toUpperCase(), asked, body)
      const text = await answer.text()
      assert.equal(answer.status, status, text)
      assert.equal(fits(method, path, status, JSON.parse(text)), undefined, text)
    })

  it('lines of a call and of a trace are as described', async () => {
    const lines = { accept: 'application/x-ndjson' }
    const call = await ask('POST', '/capabilities/demo/tools/ping', {}, lines)
    const trace = await ask('GET', '/mesh/trace?target=pi-garden')
    for (const [method, path, answer] of [
      ['post', '/capabilities/{id}/tools/{tool}', call],
      ['get', '/mesh/trace', trace]
    ] as const)
      for (const line of (await answer.text()).trim().split('\n'))
        assert.equal(fits(method, path, 200, JSON.parse(line), 'application/x-ndjson'), undefined, line)
  })

  it('would see a key that it does not name, and one that is missing', async () => {
    const status = (await (await ask('GET', '/mesh/status')).json()) as JsonObject
    assert.match(fits('get', '/mesh/status', 200, { ...status, extra: 1 }) ?? '', /additional properties/)
    const { name: _name, ...less } = status
    assert.match(fits('get', '/mesh/status', 200, less) ?? '', /required property 'name'/)
    assert.match(fits('get', '/mesh/nothing', 200, {}) ?? '', /has no paths/)
  })

  it('is given without the token, and the page with it: no script, nothing from elsewhere, each operation once', async () => {
    const answer = await app(new Request('http://localhost:7700/docs'))
    const page = await answer.text()
    assert.equal(answer.status, 200)
    assert.match(answer.headers.get('content-type') ?? '', /^text\/html/)
    assert.doesNotMatch(page, /<script|<link|<img|@import|url\(|\son\w+=|javascript:/i)
    for (const { method, path } of OPERATIONS) {
      const found = page.split(`<code class="method ${method}">${method}</code> <code>${path}</code>`).length - 1
      assert.equal(found, 1, `${method} ${path}`)
    }
    for (const [, name] of page.matchAll(/href="#([^"]+)"/g)) assert.ok(page.includes(`id="${name}"`), name)
    assert.match(page, /curl -H &#34;Authorization: Bearer \$TOKEN&#34; http:\/\/localhost:7700\/mesh\/status</)
    const style = /<style>([^]*?)<\/style>/.exec(page)?.[1] ?? ''
    const hash = Buffer.from(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(style))).toString('base64')
    const policy = answer.headers.get('content-security-policy') ?? ''
    assert.match(policy, /^default-src 'none'; /)
    assert.ok(policy.includes(`style-src 'sha256-${hash}'`), policy)
    assert.equal((await app(new Request('http://evil.example/docs'))).status, 403)
  })
})
