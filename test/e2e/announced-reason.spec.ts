import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCommandBackend } from '../../src/backends/command.ts'
import { createWebhookBackend } from '../../src/backends/webhook.ts'
import { createNode, type Mesh } from '../../src/index.ts'
import { until } from '../fixtures/libp2p-pair.ts'

describe('why a capability is as it is', function () {
  this.timeout(30_000)
  const nodes: Mesh[] = []
  afterEach(() => Promise.all(nodes.splice(0).map((node) => node.stop())))

  /** Two that are connected, and the log of the first. */
  async function pair(): Promise<[owner: Mesh, other: Mesh, logged: string[]]> {
    const logged: string[] = []
    const common = { open: true, mdns: false, listen: ['/ip4/127.0.0.1/tcp/0'] }
    const owner = await createNode({ ...common, name: 'owner', log: (_, message) => void logged.push(message) })
    nodes.push(owner)
    const other = await createNode({ ...common, name: 'other', peers: owner.multiaddrs() })
    nodes.push(other)
    return [owner, other, logged]
  }

  it('is told to other nodes without paths of the machine, in lists and in errors of calls; its owner sees them', async () => {
    const [owner, other] = await pair()
    const tools = [{ name: 'go', run: ['/secret/place/run'] }]
    owner.addBackend(createCommandBackend({ kind: 'command', id: 'shell', type: 'a/b', tools }, { baseDir: '/' }))
    const reasonAt = (node: Mesh): string => node.capabilities({ id: 'shell' })[0]?.statusReason ?? ''
    await until(() => reasonAt(other) !== '', 'it is announced', 10_000)
    assert.match(reasonAt(owner), /\/secret\/place\/run/)
    assert.match(owner.status().backends.find(({ id }) => id === 'shell')?.reason ?? '', /\/secret\/place\/run/)
    assert.match(reasonAt(other), /program … is not there/)
    await assert.rejects(other.call('shell', 'go').result, (error: Error) => {
      assert.match(error.message, /offline/)
      assert.doesNotMatch(JSON.stringify(error) + error.message, /secret/)
      return true
    })
  })

  for (const [what, source] of [
    ['variable', { secretEnv: 'DOOR_KEY' }],
    ['file', { secretFile: 'hidden/door-key' }]
  ] as const)
    it(`of a secret that is missing during a call others hear no name of its ${what}; the log of its owner has it`, async () => {
      const [owner, other, logged] = await pair()
      const dir = await mkdtemp(join(tmpdir(), 'atmo-reason-'))
      try {
        const secret = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
        const env: Record<string, string> = { DOOR_KEY: secret }
        await mkdir(join(dir, 'hidden'))
        await writeFile(join(dir, 'hidden/door-key'), secret, { mode: 0o600 })
        const out = { url: 'http://127.0.0.1:9/', ...source }
        const init = { baseDir: dir, env, recheckMs: 600_000 }
        owner.addBackend(createWebhookBackend({ kind: 'webhook', id: 'house', out }, init))
        await until(() => other.capabilities({ id: 'house' })[0]?.status === 'online', 'it is announced', 10_000)
        delete env['DOOR_KEY']
        await rm(join(dir, 'hidden'), { recursive: true })
        const failure = (node: Mesh): Promise<string> =>
          node.call('house', 'send').result.then(
            () => 'none',
            (error: Error) => JSON.stringify(error) + error.message
          )
        const name = what === 'file' ? /hidden\/door-key/ : /DOOR_KEY/
        const heard = await failure(other)
        assert.match(heard, new RegExp(`${what} …`))
        assert.doesNotMatch(heard, name)
        const line = logged.find((one) => one.startsWith('"house" fails callers of other nodes: '))
        assert.match(line ?? '', name)
        assert.doesNotMatch(await failure(other), name, 'nor once it is known to be offline')
      } finally {
        await rm(dir, { recursive: true })
      }
    })
})
