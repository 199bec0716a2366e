import assert from 'node:assert/strict'
import { execFile, fork } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { rememberPeer } from '../../../src/net/node-discovery.ts'
import { MAX_WEBRTC_HANDSHAKES } from '../../../src/net/node-webrtc-bounds.ts'
import { WEBRTC_PACKAGE, isWebRtcAddress, loadWebRtc } from '../../../src/net/node-webrtc.ts'
import { MAX_WEBRTC_MESSAGE_BYTES, createLengthCheck } from '../../../src/net/webrtc-guard.ts'
import { until, within } from '../../fixtures/libp2p-pair.ts'
import { randomUfrag, stunRequest } from '../../fixtures/stun.ts'
import { requireWebRtc } from '../../fixtures/webrtc.ts'
import packageJson from '../../../package.json' with { type: 'json' }

const SOMEBODY = '12D3KooWQDkTXkLTeSgzYuxddDXxg4g7KnCCgn8j8utEDXxvLHmH'
const fixture = (name: string): string => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url))
const NODE = fixture('webrtc-node.ts')
const START = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url))

describe('WebRTC of a node', function () {
  this.timeout(30_000)

  it('is asked for by addresses that nothing else can dial', () => {
    assert.ok(isWebRtcAddress('/ip4/127.0.0.1/udp/4003/webrtc-direct/certhash/uEiA'))
    for (const other of ['/ip4/127.0.0.1/tcp/4001', '/ip4/127.0.0.1/tcp/4002/ws', '/dns/webrtc-direct.example/tcp/1'])
      assert.ok(!isWebRtcAddress(other))
  })

  it('says what to do if it is not installed, or its native part does not load', async () => {
    const missing = Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
    const install = new RegExp(`not installed; run: npm install ${WEBRTC_PACKAGE},`)
    await assert.rejects(
      loadWebRtc(undefined, () => Promise.reject(missing)),
      { code: 'unavailable', message: install }
    )
    const broken = new Error('invalid ELF header\nand more')
    await assert.rejects(
      loadWebRtc(undefined, () => Promise.reject(broken)),
      { code: 'unavailable', message: /does not load here \(invalid ELF header\);/ }
    )
  })

  it('is not missed by a node that does not need it, and is named where one does', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'atmo-no-webrtc-'))
    const argv = ['--import', 'tsx', '--import', fixture('without-webrtc.mjs'), START]
    const run = (...args: string[]): Promise<{ stdout: string }> =>
      promisify(execFile)(process.execPath, [...argv, ...args, '--json', '--data-dir', dataDir])
    try {
      // Somebody who was once reached over it is no reason not to start.
      await rememberPeer(dataDir, {
        id: SOMEBODY,
        address: '/ip4/127.0.0.1/udp/9/webrtc-direct/certhash/uEiBf7r9YFlRA_i7MwBLSmZ8DgczrAQmQ0J66DW8Z--AS5w'
      })
      const listening = ['start', '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0', '--listen', '/ip4/127.0.0.1/tcp/0/ws']
      const node = execFile(process.execPath, [...argv, ...listening, '--json', '--data-dir', dataDir])
      const ended = once(node, 'exit')
      try {
        let said = ''
        for (const output of [node.stdout!, node.stderr!]) output.on('data', (text: string) => (said += text))
        await until(
          () => said.includes('"ready"') && said.includes('not looked for'),
          'it starts, and says what is left out',
          20_000
        )
        assert.match(said, /"event":"ready".*\/tcp\/\d+\/ws\/p2p\//)
        assert.match(said, /were reached over WebRTC before are not looked for there: [^"]*not installed/)
      } finally {
        node.kill()
        await ended
      }
      await assert.rejects(run('start', '--listen', '/ip4/127.0.0.1/udp/0/webrtc-direct'), ({ stdout, stderr }) => {
        assert.match(
          String(stdout) + String(stderr),
          /"code":"unavailable","message":"[^"]*not installed; run: npm install @libp2p/
        )
        return true
      })
    } finally {
      rmSync(dataDir, { recursive: true })
    }
  })

  it('names the version that is installed', () => {
    assert.equal(`@libp2p/webrtc@${packageJson.optionalDependencies['@libp2p/webrtc']}`, WEBRTC_PACKAGE)
  })

  it('knows a message that is too large, however it is cut', () => {
    const frame = (length: number): number[] => [(length & 0x7f) | 0x80, ((length >> 7) & 0x7f) | 0x80, length >> 14]
    const good = [...frame(MAX_WEBRTC_MESSAGE_BYTES), ...new Array<number>(MAX_WEBRTC_MESSAGE_BYTES).fill(0xff)]
    const bad = frame(MAX_WEBRTC_MESSAGE_BYTES + 1)
    for (const piece of [1, 7, 1_000, 100_000]) {
      const isWithin = createLengthCheck()
      const pieces = (bytes: number[]): boolean[] =>
        Array.from({ length: Math.ceil(bytes.length / piece) }, (_, n) =>
          isWithin(Uint8Array.from(bytes.slice(n * piece, (n + 1) * piece)))
        )
      assert.ok(pieces([...good, ...good, 0, 0]).every(Boolean))
      assert.equal(pieces(bad).at(-1), false)
    }
    assert.equal(createLengthCheck()(Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80)), false)
  })

  it('gives back channels that never say that they have closed', async function () {
    await requireWebRtc(this)
    const argv = ['--expose-gc', '--import', 'tsx', fixture('webrtc-garbage.ts')]
    const { stdout } = await promisify(execFile)(process.execPath, argv)
    assert.deepEqual(JSON.parse(stdout), { left: 0, heard: true })
  })

  it('keeps few handshakes of many that are begun, writes nothing for garbage, and its process ends by itself', async function () {
    await requireWebRtc(this)
    const child = fork(NODE, { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
    const said: Buffer[] = []
    for (const output of [child.stdout!, child.stderr!]) output.on('data', (chunk: Buffer) => said.push(chunk))
    const socket = createSocket('udp4')
    const ask = async (): Promise<{ port: number; handshakes: number }> => {
      const answer = within(once(child, 'message'), 'it answers', 20_000)
      child.send('?')
      return ((await answer) as [{ port: number; handshakes: number }])[0]
    }
    try {
      const { port } = await ask()
      const send = (packet: Buffer): Promise<void> =>
        new Promise((resolve, reject) => socket.send(packet, port, '127.0.0.1', (error) => (error ? reject(error) : resolve())))
      for (const packet of [stunRequest('a'.repeat(600)), stunRequest('a\r\n b'.repeat(8)), Buffer.alloc(300, 0xff)])
        await send(packet)
      for (let n = 0; n < 400; n++) await send(stunRequest(randomUfrag()))
      let { handshakes } = await ask()
      for (let n = 0; n < 100 && handshakes === 0; n++) handshakes = (await ask()).handshakes
      assert.ok(handshakes > 0 && handshakes <= MAX_WEBRTC_HANDSHAKES, `${handshakes} handshakes`)
      const exit = within(once(child, 'exit'), 'it ends', 10_000)
      child.send('stop')
      assert.deepEqual(await exit, [0, null])
      assert.equal(Buffer.concat(said).toString(), '')
    } finally {
      socket.close()
      child.kill()
    }
  })
})
