import assert from 'node:assert/strict'
import { webcrypto } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect as dial, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import 'reflect-metadata'
import { connectAsync } from 'mqtt'
import type { MqttClient } from 'mqtt'
import * as x509 from '@peculiar/x509'
import fc from 'fast-check'
import type { Backend } from '../../src/backends/backend.ts'
import type { MqttConfig } from '../../src/backends/mqtt-config.ts'
import { cloudEventOf } from '../../src/backends/cloud-event.ts'
import { createPacketGuard } from '../../src/backends/mqtt-packet-guard.ts'
import { filterProblem, filtersOverlap, matchTopic } from '../../src/backends/mqtt-topics.ts'
import { MAX_MESSAGE_BYTES, MAX_PUBLISHED_BYTES, createMqttBackend } from '../../src/backends/mqtt.ts'
import type { MqttInit } from '../../src/backends/mqtt.ts'
import type { JsonValue } from '../../src/core/invoke.ts'
import { isMeshError } from '../../src/errors.ts'
import type { ReceivedEvent } from '../../src/mesh-api-events.ts'
import { freePort, startBroker } from '../fixtures/mosquitto.ts'
import type { Broker } from '../fixtures/mosquitto.ts'
import { eventContext, receivedEvent } from '../fixtures/received-event.ts'
import { requireProgram } from '../fixtures/system-program.ts'
import { backendContract, errorOf, invoke, resultOf, run, until } from './contract.ts'
import type { Running } from './contract.ts'
import { watchEvents } from './watched-events.ts'

const QUICK = { backoff: { next: () => 30 } }
const SECRET = 'correct horse'

describe('mqtt backend', () => {
  let folder: string
  let broker: Broker | undefined
  let running: Running | undefined
  let others: MqttClient[] = []

  before(function () {
    requireProgram(this, 'mosquitto')
  })
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atmo-mqtt-'))
  })
  afterEach(async () => {
    await running?.stop()
    running = undefined
    await Promise.all(others.map((client) => client.endAsync(true)))
    others = []
    await broker?.stop()
    broker = undefined
    await rm(folder, { recursive: true })
  })

  const make = (config: Partial<MqttConfig> = {}, init: Partial<MqttInit> = {}): Backend => {
    const url = `mqtt://127.0.0.1:${broker?.port ?? 1}`
    return createMqttBackend({ kind: 'mqtt', id: 'home', url, ...config }, { baseDir: folder, ...QUICK, ...init })
  }
  /** Starts a backend and waits until it is as it should be. */
  const start = async (backend: Backend, status = 'online') => {
    running = run(backend)
    return running.snapshot((capability) => capability.status === status)
  }
  const client = async (): Promise<MqttClient> => {
    const other = await connectAsync(`mqtt://127.0.0.1:${broker!.port}`, { reconnectPeriod: 0 })
    others.push(other)
    return other
  }

  backendContract(
    'mqtt',
    async () => {
      const own = await startBroker()
      const url = `mqtt://127.0.0.1:${own.port}`
      let stopped: Promise<void> | undefined
      return {
        backend: createMqttBackend({ kind: 'mqtt', id: 'home', url, publish: ['lamp/+'] }, { baseDir: '.' }),
        capability: 'home',
        echo: {
          tool: 'publish',
          input: (n) => ({ topic: `lamp/${n}`, payload: { n } }),
          output: (n) => ({ topic: `lamp/${n}`, bytes: 7 })
        },
        dispose: () => (stopped ??= own.stop())
      }
    },
    { instant: true }
  )

  it('raises messages of topics as events: JSON, text and bytes', async () => {
    broker = await startBroker()
    const backend = make({
      subscribe: [
        { event: 'temperature', topic: 'home/+/temperature', intentTemplate: '{topic} says {value.degrees}', priority: 'high' },
        { event: 'note', topic: 'notes/#', format: 'text' }
      ]
    })
    const { triggers, tools } = await start(backend)
    assert.equal(tools, undefined)
    assert.deepEqual(
      triggers?.map(({ event, subject, priority }) => ({ event, subject, priority })),
      [
        { event: 'temperature', subject: 'topic', priority: 'high' },
        { event: 'note', subject: 'topic', priority: undefined }
      ]
    )
    const events = watchEvents(backend)
    const other = await client()
    await other.publishAsync('home/kitchen/temperature', '{"degrees":21.5}', { qos: 1 })
    await other.publishAsync('home/temperature', '0')
    await other.publishAsync('notes/a/b', '{"x":1}', { qos: 2 })
    await other.publishAsync('home/attic/temperature', 'warm, ø', { qos: 1 })
    await other.publishAsync('home/cellar/temperature', Buffer.from([0xff, 0]), { qos: 1 })
    await other.publishAsync('home/roof/temperature', 'x'.repeat(MAX_MESSAGE_BYTES + 1), { qos: 1 })
    await other.publishAsync('home/deep/temperature', `${'['.repeat(300)}${']'.repeat(300)}`, { qos: 1 })
    await until(() => events.events.length >= 6, 'six events')
    const told = Object.fromEntries(
      events.events.map(({ event, payload }) => [`${event} ${(payload as { topic: string }).topic}`, payload])
    )
    const common = (topic: string, bytes: number) => ({ topic, bytes, retained: false })
    assert.deepEqual(told, {
      'temperature home/kitchen/temperature': {
        ...common('home/kitchen/temperature', 16),
        format: 'json',
        value: { degrees: 21.5 }
      },
      'note notes/a/b': { ...common('notes/a/b', 7), format: 'text', value: '{"x":1}' },
      'temperature home/attic/temperature': { ...common('home/attic/temperature', 8), format: 'text', value: 'warm, ø' },
      'temperature home/cellar/temperature': { ...common('home/cellar/temperature', 2), format: 'base64', value: '/wA=' },
      'temperature home/roof/temperature': common('home/roof/temperature', MAX_MESSAGE_BYTES + 1),
      'temperature home/deep/temperature': {
        ...common('home/deep/temperature', 600),
        format: 'text',
        value: `${'['.repeat(300)}${']'.repeat(300)}`
      }
    })
    await events.stop()
  })

  it('publishes where it may, and nowhere else', async () => {
    broker = await startBroker()
    const backend = make({ publish: ['lamp/+/set', 'scene'] })
    await start(backend)
    const other = await client()
    const heard: [string, string, boolean][] = []
    other.on('message', (topic, bytes, { retain }) => heard.push([topic, bytes.toString(), retain]))
    await other.subscribeAsync('#', { qos: 1 })
    const publish = (input: Record<string, JsonValue>) => invoke(backend, 'home', 'publish', input)
    assert.deepEqual(await resultOf(publish({ topic: 'lamp/desk/set', payload: { on: true } })), {
      topic: 'lamp/desk/set',
      bytes: 11
    })
    await resultOf(publish({ topic: 'scene', payload: 'dinner ø', retain: true, qos: 2 }))
    await resultOf(publish({ topic: 'scene' }))
    await until(() => heard.length >= 3, 'three messages')
    assert.deepEqual(heard, [
      ['lamp/desk/set', '{"on":true}', false],
      ['scene', 'dinner ø', false],
      ['scene', '', false]
    ])
    for (const topic of ['lamp/desk', 'lamp/a/b/set', 'door/open', '$SYS/x'])
      await errorOf(publish({ topic }), 'permission_denied')
    for (const topic of ['lamp/+/set', '#', '', 'a\0']) await errorOf(publish({ topic }), 'invalid_argument')
    await errorOf(publish({ topic: 'scene', payload: 'x'.repeat(MAX_PUBLISHED_BYTES + 1) }), 'too_large')
  })

  it('publishes events that it handles, and is done when the broker has them', async () => {
    broker = await startBroker()
    const backend = make({ handles: { topic: 'mesh/{type}/{subject}/{priority}', ordered: true } })
    const { handles, tools } = await start(backend)
    assert.deepEqual([handles, tools], [{ ordered: true }, undefined])
    const other = await client()
    const heard: [string, { intent?: string; data?: JsonValue }, number][] = []
    other.on('message', (topic, bytes, { qos }) => heard.push([topic, JSON.parse(bytes.toString()) as { data: JsonValue }, qos]))
    await other.subscribeAsync('mesh/#', { qos: 1 })
    const handle = (event: Partial<ReceivedEvent>): Promise<void> => backend.handle!('home', receivedEvent(event), eventContext())
    await handle({})
    await handle({ subject: '#/../+\n\ud800$', payload: [1] })
    await handle({ subject: '$SYS', priority: 'high' })
    await handle({ subject: undefined })
    await until(() => heard.length >= 4, 'four messages')
    assert.deepEqual(
      heard.map(([topic, , qos]) => [topic, qos]),
      [
        ['mesh/sensor.camera.person/the door/normal', 1],
        ['mesh/sensor.camera.person/__..____$/normal', 1],
        ['mesh/sensor.camera.person/_SYS/high', 1],
        ['mesh/sensor.camera.person/_/normal', 1]
      ]
    )
    assert.deepEqual([heard[0]![1].intent, heard[1]![1].data], ['Somebody is at the door.', [1]])
    await broker.stop()
    await running!.snapshot(({ status }) => status === 'offline')
    await assert.rejects(handle({}), (error) => isMeshError(error, 'unavailable'))
  })

  it('publishes no event that is too large, and says so once and for all', async () => {
    broker = await startBroker()
    const other = await client()
    const sizes: number[] = []
    other.on('message', (_, bytes) => sizes.push(bytes.length))
    await other.subscribeAsync('#', { qos: 1 })
    for (const [maxBytes, limit] of [
      [undefined, MAX_PUBLISHED_BYTES],
      [1_024, 1_024]
    ] as const) {
      const backend = make({ handles: { topic: 'mesh', ...(maxBytes !== undefined && { maxBytes }) } })
      await start(backend)
      const handle = (payload: string): Promise<void> => backend.handle!('home', receivedEvent({ payload }), eventContext())
      const rest = JSON.stringify(cloudEventOf(receivedEvent({ payload: '' }))).length
      await handle('x'.repeat(limit - rest))
      await assert.rejects(
        handle('x'.repeat(limit - rest + 1)),
        (error) => isMeshError(error, 'too_large') && !error.retryable && error.details['limit'] === limit
      )
      await until(() => sizes.at(-1) === limit, 'the one that is not too large')
      await running!.stop()
    }
    assert.equal(sizes.length, 2)
  })

  it('leaves a broker that sends a message which is too large before it has read it, says so, and comes again', async () => {
    broker = await startBroker()
    const backend = make({ subscribe: [{ event: 'e', topic: '#' }], maxReceivedBytes: 100_000 })
    await start(backend)
    const events = watchEvents(backend)
    const other = await client()
    await other.publishAsync('t', 'x'.repeat(100_000 - 5), { qos: 1 })
    assert.equal((await events.next('e'))['bytes'], 99_995)
    await other.publishAsync('t', 'x'.repeat(100_000), { qos: 1 })
    const { statusReason } = await running!.snapshot(({ status }) => status === 'offline')
    assert.equal(statusReason, 'the broker sends a message of 100005 bytes; at most 100000 are read (maxReceivedBytes)')
    await running!.snapshot(({ status }) => status === 'online')
    await other.publishAsync('t', 'again', { qos: 1 })
    assert.equal((await events.next('e'))['value'], 'again')
    await events.stop()
  })

  it('is not done with an event that the broker never acknowledges', async () => {
    broker = await startBroker()
    // Between the two: passes on all but acknowledgements (MQTT 3.1.1, 3.4: 0x40, length 2).
    const sockets: Socket[] = []
    const between = createServer((from) => {
      const to = dial(broker!.port, '127.0.0.1')
      sockets.push(
        from.on('error', () => {}),
        to.on('error', () => {})
      )
      from.pipe(to)
      to.on('data', (bytes) => void (bytes[0] !== 0x40 && from.write(bytes)))
    })
    between.listen(0, '127.0.0.1')
    await once(between, 'listening')
    const url = `mqtt://127.0.0.1:${(between.address() as { port: number }).port}`
    const backend = make({ url, handles: { topic: 'events' } })
    await start(backend)
    const other = await client()
    const heard = new Promise((resolve) => other.once('message', resolve))
    await other.subscribeAsync('events')
    let isDone = false
    const handling = backend.handle!('home', receivedEvent(), eventContext()).then(() => (isDone = true))
    await heard
    assert.equal(isDone, false)
    for (const socket of sockets) socket.destroy()
    await assert.rejects(handling, (error) => isMeshError(error, 'unavailable'))
    between.close()
  })

  it('tells what the broker had kept only if asked to', async () => {
    broker = await startBroker()
    const other = await client()
    await other.publishAsync('a', 'old', { retain: true, qos: 1 })
    await other.publishAsync('b', 'old', { retain: true, qos: 1 })
    const backend = make({
      subscribe: [
        { event: 'a', topic: 'a' },
        { event: 'b', topic: 'b', retained: true }
      ]
    })
    const events = watchEvents(backend)
    await start(backend)
    await other.publishAsync('a', 'new', { retain: true, qos: 1 })
    const told = [await events.next('b'), await events.next('a')]
    assert.deepEqual(
      told.map(({ value, retained }) => [value, retained]),
      [
        ['old', true],
        ['new', false]
      ]
    )
    assert.equal(events.events.length, 2)
    await events.stop()
  })

  it('says that it is offline, and comes back with the broker', async () => {
    broker = await startBroker()
    const { port } = broker
    const backend = make({ subscribe: [{ event: 'e', topic: 't' }], publish: ['p'] })
    await start(backend)
    await broker.stop()
    const { statusReason } = await running!.snapshot(
      ({ status, statusReason: reason }) => status === 'offline' && /answers/.test(reason!)
    )
    assert.equal(statusReason, 'nothing answers at the address of the broker; start it, or change url')
    await errorOf(invoke(backend, 'home', 'publish', { topic: 'p' }), 'unavailable')
    broker = await startBroker({ port })
    await running!.snapshot(({ status }) => status === 'online')
    const events = watchEvents(backend)
    await (await client()).publishAsync('t', 'again', { qos: 1 })
    assert.equal((await events.next('e'))['value'], 'again')
    await events.stop()
  })

  it('misses nothing while it is away if the broker knows it by name', async () => {
    broker = await startBroker()
    const config = { clientId: 'atmo-attic', subscribe: [{ event: 'e', topic: 't' }] }
    await start(make(config))
    await running!.stop()
    await (await client()).publishAsync('t', 'kept', { qos: 1 })
    const backend = make(config)
    const events = watchEvents(backend)
    await start(backend)
    assert.equal((await events.next('e'))['value'], 'kept')
    await events.stop()
  })

  it('takes user and password from the environment or a file, and shows neither', async () => {
    broker = await startBroker({ user: { name: 'atmo', password: SECRET } })
    await writeFile(join(folder, 'password'), `${SECRET}\n`)
    await start(make({ username: 'atmo', passwordFile: 'password' }))
    await running!.stop()
    const fromEnv = { usernameEnv: 'MQTT_USER', passwordEnv: 'MQTT_PASSWORD' }
    const declared = await start(make(fromEnv, { env: { MQTT_USER: 'atmo', MQTT_PASSWORD: SECRET } }))
    assert.ok(!/horse|MQTT_|127\.0\.0\.1/.test(JSON.stringify(declared)))
    await running!.stop()
    const reasons: [Partial<MqttConfig>, Record<string, string>, RegExp][] = [
      [{ username: 'atmo', passwordFile: 'password' }, {}, /refuses the user or its password/],
      [fromEnv, { MQTT_USER: 'atmo' }, /variable MQTT_PASSWORD is not set/],
      [{ username: 'atmo', passwordFile: 'missing' }, {}, /cannot read the file "missing" \(ENOENT\)/],
      [{}, {}, /refuses the user or its password/]
    ]
    await writeFile(join(folder, 'password'), 'wrong horse')
    for (const [config, env, message] of reasons) {
      const { statusReason = '' } = await start(make(config, { env }), 'offline')
      assert.match(statusReason, message)
      assert.ok(!/horse/.test(statusReason))
      await running!.stop()
    }
  })

  it('speaks TLS, and trusts no certificate by itself', async () => {
    const tls = await selfSigned(folder)
    broker = await startBroker({ tls })
    const url = `mqtts://127.0.0.1:${broker.port}`
    const backend = make({ url, tls: { caFile: 'cert.pem' }, publish: ['t'] })
    await start(backend)
    await resultOf(invoke(backend, 'home', 'publish', { topic: 't' }))
    await running!.stop()
    const { statusReason } = await start(make({ url }), 'offline')
    assert.match(
      statusReason ?? '',
      /certificate of the broker is not trusted \(\w+\); name the one of its authority in tls.caFile/
    )
    await running!.stop()
    const plain = await start(make({ url: url.replace('mqtts', 'mqtt') }), 'offline')
    assert.match(plain.statusReason ?? '', /broker closed the connection|failed/)
  })

  it('is degraded if the broker refuses a topic', async () => {
    broker = await startBroker({ user: { name: 'atmo', password: 'x' }, acl: ['user atmo', 'topic readwrite open/#'] })
    const backend = make(
      {
        username: 'atmo',
        passwordEnv: 'P',
        subscribe: [
          { event: 'open', topic: 'open/x' },
          { event: 'closed', topic: 'closed/x' }
        ]
      },
      { env: { P: 'x' } }
    )
    running = run(backend)
    const { status, statusReason } = await running.snapshot()
    // Older brokers take the subscription, and send nothing.
    if (status === 'degraded') assert.equal(statusReason, 'the broker refuses to tell of "closed/x"')
    else assert.equal(status, 'online')
  })

  it('gives up a call, and stops, also with a broker that never answers', async () => {
    const silent = createServer((socket) => socket.on('error', () => {}).resume())
    const port = await freePort()
    silent.listen(port, '127.0.0.1')
    await once(silent, 'listening')
    const connected = once(silent, 'connection')
    running = run(make({ url: `mqtt://127.0.0.1:${port}`, publish: ['t'] }))
    // Begins with the first snapshot, which never comes.
    const snapshot = assert.rejects(running.snapshot(), /discover ended/)
    await connected
    const startedAt = performance.now()
    await running.stop()
    assert.ok(performance.now() - startedAt < 2_000)
    await snapshot
    silent.close()
  })

  it('refuses configurations that cannot be', () => {
    const refused = (config: Partial<MqttConfig>, message: RegExp): void =>
      assert.throws(
        () => make(config),
        (error) => isMeshError(error, 'invalid_config') && message.test(error.message)
      )
    refused({ subscribe: [{ event: 'e', topic: 'a#' }] }, /"a#" is no topic filter/)
    refused({ publish: ['a/b+'] }, /is no topic filter/)
    for (const topic of ['$share/group/home/#', '$queue/home'])
      refused(
        { subscribe: [{ event: 'e', topic }] },
        /is a shared subscription, of which a node would hear a part; name the topics alone/
      )
    refused(
      {
        subscribe: [
          { event: 'a', topic: 'home/#' },
          { event: 'b', topic: 'home/door' }
        ]
      },
      /"home\/door" has topics of subscribe\[0\] as well/
    )
    const loop = { subscribe: [{ event: 'e', topic: 'home/+/x' }] }
    refused({ ...loop, handles: { topic: '{type}/{subject}/x' } }, /would come back by subscribe\[0\], without end/)
    refused({ ...loop, handles: { topic: 'home/a{node}b/x' } }, /would come back/)
    refused({ handles: { topic: 'mesh/+' } }, /is no topic/)
    refused({ handles: { topic: 'mesh/{payload}' } }, /has \{payload\}, and may have \{node\}, \{capability\}/)
    refused({ handles: { topic: 'mesh/{type' } }, /has \{, and may have/)
    assert.ok(make({ ...loop, handles: { topic: 'home/{subject}/y' } }))
    refused({ passwordEnv: 'A', passwordFile: 'b' }, /cannot stand beside passwordFile/)
    refused({ tls: { caFile: 'a' } }, /needs a url that begins with mqtts:/)
  })
})

describe('mqtt packets', () => {
  it('are measured in whatever pieces they come', () => {
    // Each has a type, its length in 1 to 4 bytes, and as much of it.
    const packetOf = (length: number): Buffer => {
      const header = [0x30]
      let left = length
      do header.push((left % 128) | (left >= 128 ? 0x80 : 0))
      while ((left = Math.floor(left / 128)) > 0)
      return Buffer.concat([Buffer.from(header), Buffer.alloc(Math.min(length, 300_000), 0xff)])
    }
    const lengths = fc.oneof(fc.nat(200), fc.nat(20_000), fc.nat(300_000))
    const cuts = fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 9 })
    fc.assert(
      fc.property(fc.array(lengths, { maxLength: 6 }), cuts, fc.nat(300_000), (all, pieces, maxBytes) => {
        const guard = createPacketGuard(maxBytes)
        const bytes = Buffer.concat(all.map((length) => packetOf(length)))
        let found: number | undefined
        for (let at = 0, n = 0; at < bytes.length && found === undefined; n++) {
          const end = at + pieces[n % pieces.length]!
          found = guard(bytes.subarray(at, end))
          at = end
        }
        const expected = all.find((length) => length > maxBytes)
        assert.equal(found, expected)
      }),
      { numRuns: 200 }
    )
    assert.equal(createPacketGuard(1_000_000)(packetOf(268_435_455)), 268_435_455)
    assert.equal(createPacketGuard(5)(Buffer.from([0xd0, 0])), undefined)
  })
})

describe('mqtt topics', () => {
  it('fit filters as the standard says', () => {
    const fits = (filter: string, ...topics: string[]): boolean[] => topics.map((topic) => matchTopic(filter, topic))
    assert.deepEqual(fits('a/#', 'a', 'a/b', 'a/b/c', 'b', 'ab'), [true, true, true, false, false])
    assert.deepEqual(fits('a/+', 'a', 'a/', 'a/b', 'a/b/c'), [false, true, true, false])
    assert.deepEqual(fits('+/+', '/b', 'a', '$SYS/x'), [true, false, false])
    assert.deepEqual(fits('#', 'a/b', '$SYS/x'), [true, false])
    assert.deepEqual(fits('$SYS/#', '$SYS/x'), [true])
  })

  it('overlap where a topic fits both', () => {
    const pairs: [string, string, boolean][] = [
      ['a', 'a', true],
      ['a', 'b', false],
      ['a/#', 'a', true],
      ['a/+', 'a', false],
      ['+/b', 'a/+', true],
      ['a/+/c', 'a/b/d', false],
      ['#', '$SYS/x', false]
    ]
    for (const [one, other, expected] of pairs) {
      assert.equal(filtersOverlap(one, other), expected, `${one} ${other}`)
      assert.equal(filtersOverlap(other, one), expected, `${other} ${one}`)
    }
    assert.equal(filterProblem('a/+/#'), undefined)
    for (const bad of ['#/a', 'a+', '', 'x'.repeat(65_536)]) assert.ok(filterProblem(bad), bad.slice(0, 9))
  })
})

/** A certificate for 127.0.0.1 that is its own authority. */
async function selfSigned(folder: string): Promise<{ certFile: string; keyFile: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: 'CN=broker',
      notBefore: new Date(Date.now() - 86_400_000),
      notAfter: new Date(Date.now() + 86_400_000),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }]),
        new x509.BasicConstraintsExtension(true, undefined, true)
      ]
    },
    // Given here: the provider of the package is that of libp2p as well.
    webcrypto as Crypto
  )
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const certFile = join(folder, 'cert.pem')
  const keyFile = join(folder, 'key.pem')
  await writeFile(certFile, certificate.toString('pem'))
  await writeFile(keyFile, `-----BEGIN PRIVATE KEY-----\n${key.replace(/(.{64})/g, '$1\n')}\n-----END PRIVATE KEY-----\n`)
  return { certFile, keyFile }
}
