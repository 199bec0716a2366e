import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { createApp } from '../../../src/http/app.ts'
import { isSame } from '../../../src/http/guard.ts'
import { serveApi, parseListen, type ApiServer } from '../../../src/http/serve.ts'
import { isMeshError } from '../../../src/errors.ts'
import { ask } from '../../fixtures/api-request.ts'
import { createFakeMesh } from '../../fixtures/fake-mesh.ts'

const token = 'T'.repeat(43)

describe('http guard', () => {
  let server: ApiServer
  let port: string
  before(async () => {
    server = await serveApi({ mesh: createFakeMesh(), token, headersTimeoutMs: 200, requestTimeoutMs: 400, checkIntervalMs: 50 })
    port = new URL(server.url).port
  })
  after(() => server.close())
  const status = (headers: Record<string, string>, path = '/mesh/status') => ask(server.url, path, { token, headers })

  describe('host', () => {
    for (const host of ['localhost', '127.0.0.1', 'LOCALHOST', '[::1]']) {
      it(`lets ${host} in`, async () => assert.equal((await status({ host: `${host}:${port}` })).status, 200))
    }
    for (const host of [
      'evil.example',
      'localhost.evil.example',
      '127.0.0.1.nip.io',
      '192.168.1.5',
      '0.0.0.0',
      'evil.example:80',
      'localhost@evil.example',
      'localhost evil'
    ]) {
      it(`refuses ${host}, with and without the token, on every path`, async () => {
        for (const path of ['/mesh/status', '/health', '/nothing']) {
          for (const headers of [{}, { authorization: `Bearer ${token}` }] as Record<string, string>[]) {
            const answer = await ask(server.url, path, { headers: { host, ...headers } })
            assert.ok(answer.status === 403 || answer.status === 400, String(answer.status))
            assert.ok(answer.json.error)
          }
        }
      })
    }
    it('refuses a foreign Host behind an absolute request target', async () => {
      const answer = await ask(server.url, `http://localhost:${port}/mesh/status`, { token, headers: { host: 'evil.example' } })
      assert.equal(answer.status, 403)
      const other = await ask(server.url, 'http://evil.example/mesh/status', { token, headers: { host: `localhost:${port}` } })
      assert.equal(other.status, 403)
    })
    it('believes no forwarding header', async () => {
      for (const name of ['x-forwarded-for', 'x-real-ip', 'forwarded', 'x-forwarded-host', 'x-original-host']) {
        const value = name === 'forwarded' ? 'for=127.0.0.1;host=localhost' : name.endsWith('host') ? 'localhost' : '127.0.0.1'
        assert.equal((await ask(server.url, '/mesh/status', { headers: { [name]: value } })).status, 401, name)
        assert.equal(
          (await ask(server.url, '/mesh/status', { token, headers: { host: 'evil.example', [name]: value } })).status,
          403,
          name
        )
      }
    })
  })

  describe('origin', () => {
    it('lets its own origin in', async () => assert.equal((await status({ origin: server.url })).status, 200))
    for (const origin of [
      'http://evil.example',
      'null',
      'http://localhost',
      'http://localhost:1',
      'https://127.0.0.1',
      'file://',
      ''
    ]) {
      it(`refuses '${origin}'`, async () => {
        const answer = await status({ origin })
        assert.equal(answer.status, 403)
        assert.equal(answer.json.error?.code, 'permission_denied')
      })
    }
    it('gives a preflight no exemption and sends no CORS header', async () => {
      const answer = await ask(server.url, '/mesh/status', {
        method: 'OPTIONS',
        headers: { origin: 'http://evil.example', 'access-control-request-method': 'POST' }
      })
      assert.equal(answer.status, 403)
      for (const headers of [answer.headers, (await status({})).headers]) {
        assert.ok(!Object.keys(headers).some((name) => name.startsWith('access-control')))
      }
    })
  })

  describe('token', () => {
    it('is needed everywhere but on /health, which tells nothing', async () => {
      const health = await ask(server.url, '/health')
      assert.deepEqual([health.status, health.json], [200, { status: 'ok' }])
      for (const path of ['/mesh/status', '/mesh/nodes', '/mesh/capabilities', '/mesh/events', '/nothing']) {
        const answer = await ask(server.url, path)
        assert.equal(answer.status, 401, path)
        assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer/)
        assert.equal(answer.json.error?.code, 'permission_denied')
      }
    })
    const wrong = {
      shorter: token.slice(1),
      longer: `${token}T`,
      'other case': token.toLowerCase(),
      'other last': `${token.slice(1)}U`,
      huge: 'x'.repeat(5_000)
    }
    for (const [what, value] of Object.entries(wrong)) {
      it(`refuses one that is ${what}`, async () =>
        assert.equal((await ask(server.url, '/mesh/status', { token: value })).status, 401))
    }
    it('says where the token is and where the API is described, whether there was none or a wrong one', async () => {
      for (const given of [undefined, 'wrong']) {
        const { json } = await ask(server.url, '/mesh/status', given === undefined ? {} : { token: given })
        assert.match(json.error?.message ?? '', /"api-token" in the data directory .*atmo status.* described at \/docs/)
      }
      assert.equal((await ask(server.url, '/docs')).status, 200)
    })
    it('refuses other schemes and tokens in the URL', async () => {
      assert.equal((await status({ authorization: `Basic ${token}` })).status, 401)
      assert.equal((await status({ authorization: token })).status, 401)
      assert.equal((await ask(server.url, `/mesh/status?token=${token}&access_token=${token}`)).status, 401)
    })
    it('compares to the end, wherever it differs', () => {
      const whole = Uint8Array.from({ length: 32 }, (_, n) => n)
      for (const at of [undefined, 0, 15, 31]) {
        let reads = 0
        const other = [...whole]
        if (at !== undefined) other[at]! ^= 1
        const counted = new Proxy(other, { get: (from, key) => (key === 'length' || reads++, Reflect.get(from, key) as number) })
        assert.deepEqual([isSame(whole, counted), reads], [at === undefined, 32])
      }
      assert.ok(!isSame(whole, []) && !isSame(new Uint8Array(), whole))
    })
    it('takes each of its tokens, whichever it is', async () => {
      const app = createApp({ mesh: createFakeMesh(), tokens: [token, 'second-key-of-the-node'] })
      const statusOf = async (given: string) =>
        (await app(new Request('http://localhost/mesh/status', { headers: { authorization: `Bearer ${given}` } }))).status
      assert.deepEqual(await Promise.all(['first', token, 'second-key-of-the-node'].map(statusOf)), [401, 200, 200])
    })
  })

  describe('address', () => {
    it('reads HOST:PORT in its forms', () => {
      assert.deepEqual(parseListen('127.0.0.1:80'), { host: '127.0.0.1', port: 80 })
      assert.deepEqual(parseListen('[::1]:80'), { host: '::1', port: 80 })
      assert.deepEqual(parseListen(':80'), { host: '127.0.0.1', port: 80 })
      assert.deepEqual(parseListen('80'), { host: '127.0.0.1', port: 80 })
      for (const bad of ['', 'host', 'host:', 'host:99999', '::1:80:x', 'a b:1', 'http://x:1']) {
        assert.throws(
          () => parseListen(bad),
          (error) => isMeshError(error, 'invalid_config'),
          bad
        )
      }
    })
    it('refuses to listen beyond loopback without a key', async () => {
      for (const listen of ['0.0.0.0:0', '[::]:0', '192.0.2.1:0']) {
        for (const apiKey of [undefined, '', 'short']) {
          await assert.rejects(
            serveApi({ mesh: createFakeMesh(), token, listen, apiKey }),
            (error) => isMeshError(error, 'invalid_config') && error.message.includes('--api-key-file')
          )
        }
      }
    })
    it('listens beyond loopback with a key; then addresses are fit hosts, foreign names are not', async () => {
      const apiKey = 'k'.repeat(20)
      const open = await serveApi({ mesh: createFakeMesh(), token, listen: '0.0.0.0:0', apiKey })
      try {
        for (const key of [token, apiKey])
          assert.equal((await ask(open.url, '/mesh/status', { token: key, headers: { host: '192.168.1.5:7700' } })).status, 200)
        assert.equal((await ask(open.url, '/mesh/status', { token: apiKey, headers: { host: 'evil.example' } })).status, 403)
        assert.equal((await ask(open.url, '/mesh/status', { headers: { 'x-forwarded-for': '127.0.0.1' } })).status, 401)
      } finally {
        await open.close()
      }
    })
    it('says that a port is taken', async () => {
      await assert.rejects(serveApi({ mesh: createFakeMesh(), token, listen: `127.0.0.1:${port}` }), (error) =>
        isMeshError(error, 'conflict')
      )
    })
  })

  describe('slow clients', () => {
    const closedBy = (first: string) =>
      new Promise<string>((resolve, reject) => {
        const socket = connect(Number(port), '127.0.0.1', () => socket.write(first))
        let answer = ''
        socket.setEncoding('utf8').on('data', (text: string) => (answer += text))
        socket.on('error', reject).on('close', () => resolve(answer))
      })
    it('are cut off in the headers', async () => assert.match(await closedBy('GET /health HTTP/1.1\r\nHost: local'), /408|^$/))
    it('are cut off in the body', async () => {
      const head = `POST /mesh/stop HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{`
      assert.match(await closedBy(head), /408|^$/)
    })
  })
})
