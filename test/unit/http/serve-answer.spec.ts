import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { serveApi, type ApiServer } from '../../../src/http/serve.ts'
import { createFakeMesh } from '../../fixtures/fake-mesh.ts'

const token = 'T'.repeat(43)

describe('http answers on the wire', () => {
  let api: ApiServer
  before(async () => {
    const mesh = createFakeMesh({
      async *items() {
        yield { kind: 'json', value: 1 }
        return 2
      }
    })
    api = await serveApi({ mesh, token })
  })
  after(() => api.close())

  /** What comes for these lines, to its end. */
  async function said(...lines: string[]): Promise<{ head: string; body: string }> {
    const socket = connect(Number(new URL(api.url).port), '127.0.0.1')
    await once(socket, 'connect')
    socket.write([...lines, 'host: localhost', `authorization: Bearer ${token}`, 'connection: close', '', ''].join('\r\n'))
    const all = await text(socket)
    const at = all.indexOf('\r\n\r\n')
    return { head: all.slice(0, at).toLowerCase(), body: all.slice(at + 4) }
  }

  it('JSON comes whole, with its length', async () => {
    const { head, body } = await said('GET /mesh/status HTTP/1.1')
    assert.match(head, /\r\ncontent-length: \d+/)
    assert.doesNotMatch(head, /transfer-encoding/)
    assert.equal(Number(/content-length: (\d+)/.exec(head)![1]), Buffer.byteLength(body))
    assert.match(head, /\r\nserver: atmosphere/)
    assert.ok(JSON.parse(body))
  })

  it('HEAD is answered without it', async () => {
    const { head, body } = await said('HEAD /mesh/status HTTP/1.1')
    assert.match(head, /^http\/1\.1 200 /)
    assert.equal(body, '')
  })

  it('a refusal is JSON as well, also where the body of its request was not read', async () => {
    const { head, body } = await said(
      'POST /capabilities/none/tools/none HTTP/1.1',
      'content-type: text/plain',
      'content-length: 0'
    )
    assert.match(head, /^http\/1\.1 415 /)
    assert.equal((JSON.parse(body) as { error: { code: string } }).error.code, 'invalid_argument')
  })

  const items = ['content-type: application/json', 'content-length: 0', 'accept: application/x-ndjson']
  it('a stream comes in chunks, to a client of HTTP/1.0 without', async () => {
    const path = 'POST /capabilities/demo/tools/items'
    const chunked = await said(`${path} HTTP/1.1`, ...items)
    assert.match(chunked.head, /\r\ntransfer-encoding: chunked/)
    const old = await said(`${path} HTTP/1.0`, ...items)
    assert.doesNotMatch(old.head, /transfer-encoding/)
    const lines = old.body.trimEnd().split('\n')
    assert.ok(lines.length > 1, old.body)
    for (const line of lines) JSON.parse(line)
  })
})
