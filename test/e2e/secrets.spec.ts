import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createNode, joinMesh, type Mesh } from '../../src/index.ts'
import { createAtmo, type Atmo } from '../fixtures/atmo.ts'
import { captureReceived } from '../fixtures/capture.ts'
import { until } from '../fixtures/libp2p-pair.ts'

const CANARIES = {
  Authorization: 'Basic Y2FuYXJ5LW9mLWEtcGFzc3dvcmQ',
  Cookie: 'session=canary-of-a-cookie',
  'Proxy-Authorization': 'Bearer canary-of-a-proxy',
  'X-Api-Key': 'canary-of-an-api-key'
}
const ENVIRONMENT = { OPENAI_API_KEY: 'canary-of-the-environment', ATMO_CANARY: 'another-canary-of-the-environment' }

/** What a node receives of another one, in the clear: everything on every stream of every protocol. */
describe('what belongs to a machine', function () {
  this.timeout(60_000)
  let cli: Atmo
  let provider: Mesh | undefined
  beforeEach(async () => (cli = await createAtmo()))
  afterEach(async () => {
    await provider?.stop()
    await cli.close()
  })

  it('never crosses the mesh: credentials and cookies of clients, tokens, keys, the environment, paths', async () => {
    const first = await cli.start('caller', [], { env: ENVIRONMENT })
    const code = (await cli.ok('caller', 'invite')).trim()
    const dataDir = join(cli.dir, 'provider')
    // Here the secret of the mesh crosses: that is what an invite is for.
    await joinMesh(dataDir, code, 'provider')
    const received = captureReceived()
    try {
      const inputs: unknown[] = []
      provider = await createNode({ dataDir, name: 'provider', listen: [], mdns: false, peers: [first.address] })
      provider.register(
        { id: 'ears', type: 'test/ears', tools: [{ name: 'hear', description: 'Hears.', input: { type: 'object' } }] },
        {
          hear(input, context) {
            inputs.push(input, context)
            throw new Error('overheard')
          }
        }
      )
      const token = (await readFile(join(cli.dir, 'caller', 'api-token'), 'utf8')).trim()
      const api = String(first.ready['api'])
      const ask = (path: string, body: unknown, headers: Record<string, string>): Promise<Response> =>
        fetch(`${api}${path}`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json', ...CANARIES, ...headers },
          body: JSON.stringify(body)
        })
      const withToken = { Authorization: `Bearer ${token}` }
      await cli.until(first.child, 'peer:join')
      await until(() => received.text().includes('caller'), 'the nodes speak')

      let status = 0
      for (let n = 0; n < 50 && inputs.length === 0; n++)
        ({ status } = await ask('/capabilities/ears/tools/hear', { input: { message: 'canary-that-is-to-cross' } }, withToken))
      assert.notEqual(status, 401)
      // What a client has wrong is not passed on either.
      assert.equal((await ask('/capabilities/ears/tools/hear', { input: {} }, {})).status, 401)
      await cli.atmo('caller', ['call', 'ears', 'hear', '--param', 'message=again'], { env: ENVIRONMENT })

      assert.ok(received.text().includes('canary-that-is-to-cross'), 'what is meant to cross is seen, so anything else would be')
      const { meshKey, secret } = JSON.parse(await readFile(join(cli.dir, 'caller', 'mesh.json'), 'utf8')) as Record<
        string,
        string
      >
      const identity = await readFile(join(cli.dir, 'caller', 'identity.key'))
      const kept: Record<string, string> = {
        ...CANARIES,
        ...ENVIRONMENT,
        token,
        'directory of the data': cli.dir,
        'home directory': process.env['HOME'] ?? cli.dir,
        'key of the mesh': Buffer.from(meshKey!, 'base64').toString('latin1'),
        'secret of the mesh': Buffer.from(secret!, 'base64').toString('latin1'),
        'key of the node': identity.toString('latin1')
      }
      for (const [what, text] of Object.entries(kept)) assert.ok(!received.text().includes(text), `${what} crossed the mesh`)
      assert.ok(!JSON.stringify(inputs).includes('canary-of'), 'nor does a handler see it')
    } finally {
      received.stop()
    }
  })
})
