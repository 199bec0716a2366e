import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import type { WebhookInConfig } from '../../src/backends/webhook-config.ts'
import { REMEMBER_MS } from '../../src/backends/webhook-hook.ts'
import { githubClaim, signWebhook, standardClaim, webhookKeys } from '../../src/backends/webhook-signature.ts'
import { createWebhookBackend, type WebhookInit } from '../../src/backends/webhook.ts'
import { MeshError, isMeshError } from '../../src/errors.ts'
import { MAX_HOOK_BYTES } from '../../src/http/hook-routes.ts'
import { serveApi, type ApiServer } from '../../src/http/serve.ts'
import type { FireOptions, FireView } from '../../src/mesh-api-events.ts'
import type { Hooks } from '../../src/mesh-api-hooks.ts'
import { FAILURES_PER_MINUTE, createHooks } from '../../src/node-hooks.ts'
import { ask, type ApiAnswer, type ApiRequest } from '../fixtures/api-request.ts'
import { createFakeMesh } from '../fixtures/fake-mesh.ts'
import { run, type Running } from './contract.ts'

const KEY = Buffer.from('0123456789abcdef0123456789abcdef')
const PLAIN = 'correct-horse-battery'
const env = { SECRET: `whsec_${KEY.toString('base64')}`, PLAIN }

describe('webhook backend, hooks', () => {
  let server: ApiServer
  let running: Running | undefined
  let fired: unknown[][]
  let outcome: () => Promise<FireView>
  let time: number
  let hooks: Hooks
  let pauses: number

  beforeEach(async () => {
    fired = []
    time = Date.now()
    pauses = 0
    hooks = createHooks({ secret: 'kept', now: () => time, pause: async () => void pauses++ })
    outcome = async () => ({ outcome: 'delivered', id: '1-1', intent: 'x', kept: true, by: ['guard@12D3KooWOther'], tried: [] })
    const fire = async (...event: [string, string, unknown?, FireOptions?]): Promise<FireView> => {
      fired.push(event)
      return outcome()
    }
    server = await serveApi({ mesh: { ...createFakeMesh(), fire }, hooks, token: 'T'.repeat(43) })
  })
  afterEach(async () => {
    await running?.stop()
    running = undefined
    await server.close()
  })

  const start = async (config: Partial<WebhookInConfig> = {}, init: Partial<WebhookInit> = {}) => {
    const hook = { hook: 'door', event: 'ring', secretEnv: 'SECRET', ...config }
    const all = { baseDir: '.', env, hooks, clock: () => time, now: () => time, ...init }
    running = run(createWebhookBackend({ kind: 'webhook', id: 'house', in: [hook] }, all))
    return running.snapshot()
  }
  const post = (request: ApiRequest, path = '/hooks/door'): Promise<ApiAnswer> =>
    ask(server.url, path, { method: 'POST', ...request })
  const signed = (body: string, { id = 'msg_1', at = time, key = KEY } = {}): ApiRequest => {
    const timestamp = String(Math.floor(at / 1_000))
    const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
    const headers = { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1a,bm9wZQ== v1,${signature}` }
    return { headers: { 'content-type': 'application/json', ...headers }, body }
  }
  /** The answer to a request whose body never comes. */
  const statusWithoutBody = (headers: Record<string, string>, name = 'door'): Promise<number> =>
    new Promise((resolve, reject) => {
      const req = httpRequest(`${server.url}/hooks/${name}`, { method: 'POST', headers: { 'content-length': '100', ...headers } })
      req.on('response', ({ statusCode = 0 }) => (resolve(statusCode), req.destroy()))
      req.on('error', reject)
      req.flushHeaders()
    })
  const bearer = (body: string, secret = PLAIN): ApiRequest => ({ headers: { authorization: `Bearer ${secret}` }, body })

  it('a signed request raises an event, and is told what became of it, but not who is in the mesh', async () => {
    const { status, type, scope, triggers, tools, handles } = await start({ priority: 'high', throttleMs: 5 })
    assert.deepEqual([status, type, scope, tools, handles], ['online', 'message/webhook', 'node', undefined, undefined])
    assert.deepEqual(triggers, [{ event: 'ring', description: 'A request to the hook door.', priority: 'high', throttleMs: 5 }])
    const answer = await post(signed('{"room":"hall"}'))
    assert.deepEqual([answer.status, answer.json], [200, { outcome: 'delivered', id: '1-1', kept: true }])
    assert.deepEqual(fired, [['house', 'ring', { room: 'hall' }, undefined]])
    outcome = async () => ({ outcome: 'coalesced', kept: false, by: [], tried: [] })
    assert.equal((await post(signed('', { id: 'msg_2' }))).status, 202)
    assert.equal(fired[1]![2], null)
  })

  it('without a right signature nothing happens: 401, and the token of the node is none', async () => {
    await start()
    const good = signed('{}')
    const bad: ApiRequest[] = [
      { body: '{}' },
      { ...good, body: '{"x":1}' },
      { ...good, headers: { ...good.headers, 'webhook-id': 'msg_2' } },
      { ...good, headers: { ...good.headers, 'webhook-timestamp': String(Math.floor(time / 1_000) + 1) } },
      { ...good, headers: { ...good.headers, 'webhook-signature': 'v1,' } },
      signed('{}', { key: Buffer.alloc(32) }),
      signed('{}', { at: time - 301_000 }),
      signed('{}', { at: time + 301_000 }),
      { body: '{}', token: 'T'.repeat(43) },
      bearer('{}', env.SECRET)
    ]
    for (const request of bad) {
      const { status, json, headers } = await post(request)
      assert.deepEqual([status, json.error?.code], [401, 'permission_denied'], JSON.stringify(request))
      assert.match(headers['www-authenticate'] ?? '', /^Bearer/)
    }
    assert.deepEqual(fired, [])
    // Nothing else opens without the token, and no other host or page gets in.
    for (const path of ['/hooks', '/mesh/status', '/hooks/door/x']) assert.equal((await post(good, path)).status, 401)
    assert.equal((await post(good, '/hooks/attic')).status, 401)
    assert.equal((await post({ ...good, headers: { ...good.headers, host: 'evil.example' } })).status, 403)
    assert.equal((await post({ ...good, headers: { ...good.headers, origin: 'https://evil.example' } })).status, 403)
    for (const at of [time - 299_000, time + 299_000])
      assert.equal((await post(signed('{}', { at, id: `msg_${at}` }))).status, 200)
  })

  it('what comes twice is raised once, also at the same time; what went nowhere may come again', async () => {
    await start()
    const answers = await Promise.all([1, 2, 3].map(() => post(signed('{}'))))
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200]
    )
    assert.equal(answers.filter(({ json }) => json['duplicate'] === true).length, 2)
    assert.equal(fired.length, 1)
    outcome = async () => ({ outcome: 'dropped', kept: false, by: [], tried: ['guard@12D3KooWOther'], reason: 'full' })
    const dropped = await post(signed('{}', { id: 'msg_2' }))
    assert.deepEqual([dropped.status, dropped.json.error?.code], [503, 'unavailable'])
    assert.ok(!dropped.text.includes('12D3'))
    outcome = async () => ({ outcome: 'queued', id: '1-2', kept: true, by: [], tried: [] })
    const queued = await post(signed('{}', { id: 'msg_2' }))
    assert.deepEqual([queued.status, queued.json], [202, { outcome: 'queued', id: '1-2', kept: true }])
    assert.equal(fired.length, 3)
    // By then its signature holds no more.
    time += REMEMBER_MS
    await post(signed('{}'))
    assert.equal(fired.length, 4)
  })

  it('what has been decided is not decided anew by what is played again, also where it went nowhere', async () => {
    await start()
    const decided: [() => Promise<FireView>, number][] = [
      [async () => ({ outcome: 'dropped', kept: false, by: [], tried: [], reason: 'no_route' }), 409],
      [() => Promise.reject(new MeshError('invalid_argument', 'it does not fit')), 400]
    ]
    for (const [at, [how, status]] of decided.entries()) {
      outcome = how
      const request = signed('{}', { id: `decided_${at}` })
      assert.equal((await post(request)).status, status)
      outcome = () => assert.fail('it is fired again')
      assert.equal((await post(request)).status, status)
    }
    const later: [() => Promise<FireView>, number][] = [
      ...['full', 'unanswered', 'expired', 'busy', 'unavailable'].map((reason): [() => Promise<FireView>, number] => [
        async () => ({ outcome: 'dropped', kept: false, by: [], tried: [], reason }),
        503
      ]),
      [() => Promise.reject(new MeshError('unavailable', 'it is stopping')), 503],
      [() => Promise.reject(new Error('a fault')), 500]
    ]
    for (const [at, [how, status]] of later.entries()) {
      outcome = how
      const request = signed('{}', { id: `later_${at}` })
      assert.equal((await post(request)).status, status)
      outcome = async () => ({ outcome: 'delivered', id: '1-1', kept: true, by: [], tried: [] })
      assert.equal((await post(request)).status, 200)
    }
  })

  it('asks for no body before the headers show what they can show', async () => {
    await start()
    const names = Array.from({ length: 24 }, (_, n) => `attic${n}`)
    assert.equal(await statusWithoutBody({}), 401)
    assert.equal(await statusWithoutBody(signed('', { at: time - 301_000 }).headers!), 401)
    assert.equal(await statusWithoutBody({ ...signed('').headers, 'content-length': String(MAX_HOOK_BYTES + 1) }), 413)
    for (const name of names) assert.equal(await statusWithoutBody({ authorization: 'Bearer wrong-horse-battery' }, name), 401)
    await running!.stop()
    await start({ check: 'bearer', secretEnv: 'PLAIN' })
    for (const headers of [{ authorization: 'Bearer wrong-horse-battery' }, signed('').headers!])
      assert.equal(await statusWithoutBody({ ...headers, 'content-length': String(MAX_HOOK_BYTES + 1) }), 401)
    assert.equal(await statusWithoutBody({ authorization: `Bearer ${PLAIN}`, 'content-length': '9999999' }), 413)
  })

  it('a hook that there is not answers as one that there is, to who does not show its secret', async () => {
    await start()
    const wrong = { ...signed('{}', { key: Buffer.alloc(32) }) }
    const told = ({ status, text, headers: { date: _, ...headers } }: ApiAnswer) => ({ status, text, headers })
    const real = await post(wrong)
    assert.equal(pauses, 1)
    for (let n = 0; n < 20; n++) assert.deepEqual(told(await post(wrong, `/hooks/attic${n}`)), told(real))
    assert.equal(pauses, 21)
    assert.ok(!real.text.includes('door') && !real.text.includes('SECRET'))
    // Which of them would read a body is the same each time, and is not the same for all.
    const reads = async (name: string, headers: Record<string, string>): Promise<boolean> => {
      let read = false
      const body = async () => ((read = true), new Uint8Array())
      await hooks.ask(name, { header: (key) => headers[key], body, from: undefined }, () => assert.fail()).catch(() => undefined)
      return read
    }
    const github = { 'x-hub-signature-256': `sha256=${'0'.repeat(64)}` }
    const kinds = new Set<string>()
    for (let n = 0; n < 64; n++) {
      const kind = async () => String([await reads(`attic${n}`, wrong.headers!), await reads(`attic${n}`, github)])
      const first = await kind()
      assert.equal(await kind(), first)
      kinds.add(first)
    }
    assert.deepEqual([...kinds].sort(), ['false,false', 'false,true', 'true,false'])
  })

  it('a hook that there is not stays the same over restarts of its node, and is another one at other nodes', async () => {
    const github = { 'x-hub-signature-256': `sha256=${'0'.repeat(64)}` }
    const readers = async (secret: string): Promise<string[]> => {
      const one = createHooks({ secret, pause: async () => undefined })
      const found: string[] = []
      for (let n = 0; n < FAILURES_PER_MINUTE; n++) {
        const body = async (): Promise<Uint8Array> => (found.push(`attic${n}`), new Uint8Array())
        const header = (key: string): string | undefined => github[key as keyof typeof github]
        await one.ask(`attic${n}`, { header, body, from: undefined }, () => assert.fail())
      }
      return found
    }
    const first = await readers('kept')
    assert.ok(first.length > 0 && first.length < FAILURES_PER_MINUTE)
    assert.deepEqual(await readers('kept'), first)
    assert.notDeepEqual(await readers('of another node'), first)
  })

  it('a body that is too large is no way to try for ever, at hooks that there are and that there are not', async () => {
    await start()
    const large = { ...signed('').headers!, 'content-length': String(MAX_HOOK_BYTES + 1) }
    for (let n = 0; n < FAILURES_PER_MINUTE; n++) assert.equal(await statusWithoutBody(large), 413)
    assert.equal(pauses, FAILURES_PER_MINUTE)
    for (const name of ['door', 'attic']) assert.equal((await post({}, `/hooks/${name}`)).status, 429)
    assert.equal(await statusWithoutBody(large), 429)
    assert.equal((await post(signed('{}'))).status, 200)
  })

  it('a hook whose secret cannot be read cannot be told from one that there is not', async () => {
    await start({ check: 'bearer', secretEnv: 'PLAIN' }, { env: {} })
    const told = ({ status, text, headers: { date: _, ...headers } }: ApiAnswer) => ({ status, text, headers })
    const other = told(await post(bearer('{}'), '/hooks/attic'))
    assert.deepEqual([told(await post(bearer('{}'))), pauses], [other, 2])
  })

  it('who fails often is told to come later, and who has the secret gets in all the same', async () => {
    await start()
    const wrong = signed('{}', { key: Buffer.alloc(32) })
    for (let n = 0; n < FAILURES_PER_MINUTE; n++)
      assert.equal((await post(wrong, n % 2 ? '/hooks/attic' : undefined)).status, 401)
    for (const path of ['/hooks/door', '/hooks/attic']) {
      const late = await post(wrong, path)
      assert.deepEqual([late.status, late.json.error?.code, late.headers['retry-after']], [429, 'busy', '2'])
    }
    assert.equal((await post(signed('{}'))).status, 200)
    time += 2_000
    assert.equal((await post(wrong)).status, 401)
    assert.equal((await post(wrong)).status, 429)
  })

  it('a secret that cannot be read is told to the log, once, and not to who asks', async () => {
    const logged: string[] = []
    const env: Record<string, string | undefined> = {}
    await start({}, { env, log: (_, message) => void logged.push(message) })
    for (let n = 0; n < 2; n++) {
      const { status, text } = await post(signed('{}'))
      assert.equal(status, 401)
      assert.ok(!text.includes('SECRET') && !text.includes('variable'), text)
    }
    assert.deepEqual(logged, ['hook "door": the variable SECRET is not set; set it, and start the node again'])
    env['SECRET'] = `whsec_${KEY.toString('base64')}`
    assert.equal((await post(signed('{}'))).status, 200)
    delete env['SECRET']
    assert.equal((await post(signed('{}'))).status, 401)
    assert.equal(logged.length, 2)
  })

  it('what a policy of the mesh denies is no missing secret', async () => {
    await start()
    outcome = () => Promise.reject(new MeshError('permission_denied', 'a policy denies it'))
    assert.equal((await post(signed('{}'))).status, 403)
  })

  it('takes so many a minute, and says when to come again; wrong ones do not use them up', async () => {
    await start({ perMinute: 2 })
    for (const n of [1, 2, 3, 4])
      assert.equal((await post(signed('{}', { key: Buffer.alloc(32), id: `wrong_${n}` }))).status, 401)
    for (const n of [1, 2]) assert.equal((await post(signed('{}', { id: `msg_${n}` }))).status, 200)
    const late = await post(signed('{}', { id: 'msg_3' }))
    assert.deepEqual([late.status, late.json.error?.code, late.headers['retry-after']], [429, 'busy', '30'])
    assert.equal((await post(signed('{}', { id: 'msg_1' }))).status, 200)
    time += 30_000
    assert.equal((await post(signed('{}', { id: 'msg_3' }))).status, 200)
  })

  it('bodies that are no JSON, too deep or too large are refused', async () => {
    await start({ check: 'bearer', secretEnv: 'PLAIN' })
    const deep = '['.repeat(200) + ']'.repeat(200)
    for (const body of ['{', deep, 'on', '\u0000']) assert.equal((await post(bearer(body))).status, 400, body)
    const large = await post(bearer('x'.repeat(MAX_HOOK_BYTES + 1)))
    assert.deepEqual([large.status, large.json.error?.code], [413, 'too_large'])
    assert.deepEqual(fired, [])
  })

  it('takes the signature of GitHub, and knows a delivery again', async () => {
    await start({ check: 'github', secretEnv: 'PLAIN' })
    const body = '{"action":"opened"}'
    const headers = {
      'x-hub-signature-256': `sha256=${createHmac('sha256', PLAIN).update(body).digest('hex')}`,
      'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958'
    }
    assert.equal((await post({ headers, body })).status, 200)
    assert.equal((await post({ headers, body })).json['duplicate'], true)
    for (const other of ['sha256=00', `sha256=${'0'.repeat(64)}`, headers['x-hub-signature-256'].replace('256', '1')])
      assert.equal((await post({ headers: { ...headers, 'x-hub-signature-256': other }, body })).status, 401)
    assert.equal(fired.length, 1)
  })

  it('takes a secret of its own, and each request anew unless it has an id', async () => {
    await start({ check: 'bearer', secretEnv: 'PLAIN' })
    for (let n = 0; n < 2; n++) assert.equal((await post(bearer('{"n":1}'))).status, 200)
    const withId = bearer('{}')
    for (let n = 0; n < 2; n++) await post({ ...withId, headers: { ...withId.headers, 'webhook-id': 'a' } })
    assert.equal(fired.length, 3)
    for (const secret of ['wrong-horse-battery', PLAIN.slice(1), `${PLAIN}x`])
      assert.equal((await post(bearer('{}', secret))).status, 401)
  })

  it('a CloudEvent of the mesh that comes back goes on from where it was', async () => {
    await start()
    await post(signed(JSON.stringify({ specversion: '1.0', id: '1-1', hopdepth: 3, data: null })))
    await post(signed(JSON.stringify({ specversion: '1.0', id: '1-1', hopdepth: -1 }), { id: 'msg_2' }))
    await post(signed(JSON.stringify({ hopdepth: 3 }), { id: 'msg_3' }))
    assert.deepEqual(
      fired.map(([, , , options]) => options),
      [{ depth: 3 }, undefined, undefined]
    )
  })

  it('a hook whose secret is not there, too short or no key takes nothing and says so', async () => {
    for (const [secret, reason] of [
      [undefined, /hook "door": the variable SECRET is not set/],
      ['whsec_c2hvcnQ=', /hook "door": the secret must be whsec_ and 24 to 64 bytes/]
    ] as const) {
      const { status, statusReason = '' } = await start({}, { env: { SECRET: secret } })
      assert.equal(status, 'degraded')
      assert.match(statusReason, reason)
      assert.equal((await post(signed('{}'))).status, 401)
      await running!.stop()
    }
    const short = await start({ check: 'bearer' }, { env: { SECRET: 'short' } })
    assert.match(short.statusReason ?? '', /16 characters at least/)
    await running!.stop()
    // Taken, or without a local API.
    const free = hooks.add('door', () => assert.fail())
    assert.equal((await start()).status, 'offline')
    await running!.stop()
    free()
    const { status, statusReason } = await start({}, { hooks: undefined })
    assert.deepEqual([status, statusReason], ['offline', 'this node has no local API, or another backend has the hook "door"'])
    await running!.stop()
    hooks.add('door', () => assert.fail())()
  })
})

describe('signatures of webhooks', () => {
  it('are those of the specifications', () => {
    // https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, and the tests of its libraries
    const keys = webhookKeys('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
    const id = 'msg_p5jXN8AQM9LWM0D4loKWxJek'
    const signature = signWebhook(keys, id, 1_614_265_330, '{"test": 2432232314}')
    assert.equal(signature, 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
    const headers: Record<string, string> = {
      'webhook-id': id,
      'webhook-timestamp': '1614265330',
      'webhook-signature': signature
    }
    const header = (name: string) => headers[name]
    const claim = standardClaim(keys, header, 1_614_265_330)
    claim.prove(Buffer.from('{"test": 2432232314}'))
    assert.equal(claim.id, id)
    const refused = (error: unknown) => isMeshError(error, 'permission_denied')
    assert.throws(() => claim.prove(Buffer.from('{"test": 2432232315}')), refused)
    assert.throws(() => standardClaim(keys, header, 1_614_265_631), refused)
    // https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    const hub = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17'
    githubClaim("It's a Secret to Everybody", () => hub).prove(Buffer.from('Hello, World!'))
  })
})
