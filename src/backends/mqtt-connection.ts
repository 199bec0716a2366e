/** The connection to one MQTT broker: made again whenever it ends, until it is no longer wanted. */
import { connect } from 'mqtt'
import type { IClientOptions, MqttClient } from 'mqtt'
import { MeshError, abortError } from '../errors.ts'
import type { MqttQos } from './mqtt-config.ts'
import { createPacketGuard } from './mqtt-packet-guard.ts'
import { connectionProblem } from './mqtt-options.ts'
import { createBackoff, delay } from './restart-delay.ts'
import type { Backoff } from './restart-delay.ts'

/** Time that a broker has to take its leave, in ms. */
const END_TIMEOUT_MS = 500

/** A message that came in. */
export interface MqttMessage {
  topic: string
  bytes: Uint8Array
  /** The broker had kept it: it is not new. */
  retained: boolean
}

/** What the connection is made with. */
export interface MqttConnectionInit {
  url: string
  /** Read anew for each connection. Throws what is wrong with it. */
  options(): Promise<IClientOptions>
  subscriptions: readonly { topic: string; qos: MqttQos }[]
  /** A broker that sends a larger packet is left. */
  maxPacketBytes: number
  onMessage(message: MqttMessage): void
  /** `offline`, or `degraded` for topics that the broker refuses, says why. */
  onState(state: 'online' | 'degraded' | 'offline', reason?: string): void
  backoff?: Backoff
}

/** See {@link createMqttConnection}. */
export interface MqttConnection {
  /** Stays connected until the signal aborts; then nothing is open any more. Never throws. */
  run(signal: AbortSignal): Promise<void>
  /** Resolves when the broker has the message, as surely as `qos` asks. Throws `unavailable`, and what the signal aborts with. */
  publish(message: { topic: string; payload: string; qos: MqttQos; retain: boolean }, signal: AbortSignal): Promise<void>
}

/** Makes a connection that is not yet open. */
export function createMqttConnection(init: MqttConnectionInit): MqttConnection {
  const { backoff = createBackoff() } = init
  let current: MqttClient | undefined
  /** What is being published, to be told that the connection has ended. */
  const publishing = new Set<() => void>()

  /** One connection, from its beginning to its end. Returns why it ended. */
  async function connectOnce(signal: AbortSignal): Promise<string> {
    let problem: string | undefined
    const client = connect(init.url, await init.options())
    const tooLargeIn = createPacketGuard(init.maxPacketBytes)
    client.stream.on('data', (bytes: Uint8Array) => {
      const length = tooLargeIn(bytes)
      if (length === undefined) return
      // Before what else is wrong with a connection that ends in the middle.
      problem = `the broker sends a message of ${length} bytes; at most ${init.maxPacketBytes} are read (maxReceivedBytes)`
      client.stream.destroy()
    })
    client.on('error', (error) => (problem ??= connectionProblem(error)))
    const closed = new Promise<void>((resolve) => client.once('close', resolve))
    client.on('message', (topic, bytes, { retain }) => init.onMessage({ topic, bytes, retained: retain }))
    client.once('connect', () => {
      current = client
      subscribe(client).then(
        (refused) => {
          if (refused.length === 0) init.onState('online')
          else init.onState('degraded', `the broker refuses to tell of ${refused.map((topic) => `"${topic}"`).join(', ')}`)
        },
        // The connection ended meanwhile, which is said elsewhere.
        () => {}
      )
    })
    let onAbort = (): void => {}
    const over = new Promise<void>((resolve) => (onAbort = resolve))
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
    await Promise.race([closed, over])
    signal.removeEventListener('abort', onAbort)
    current = undefined
    for (const lose of publishing) lose()
    await end(client)
    return problem ?? 'the broker closed the connection'
  }

  async function subscribe(client: MqttClient): Promise<string[]> {
    if (init.subscriptions.length === 0) return []
    const wanted = Object.fromEntries(init.subscriptions.map(({ topic, qos }) => [topic, { qos }]))
    return new Promise((resolve, reject) => {
      client.subscribe(wanted, (error, granted = []) => {
        const refused = granted.filter(({ qos }) => qos === 128).map(({ topic }) => topic)
        if (refused.length > 0 || error === null) resolve(refused)
        else reject(error)
      })
    })
  }

  return {
    async run(signal) {
      while (!signal.aborted) {
        const startedAt = performance.now()
        const problem = await connectOnce(signal).catch((error: unknown) => connectionProblem(error))
        if (signal.aborted) return
        init.onState('offline', problem)
        await delay(backoff.next(performance.now() - startedAt), signal)
      }
    },
    async publish({ topic, payload, qos, retain }, signal) {
      if (current === undefined) throw new MeshError('unavailable', 'there is no connection to the broker; try again later')
      const client = current
      let onAbort = (): void => {}
      const aborted = new Promise<never>((_, reject) => {
        onAbort = () => reject(abortError(signal))
        signal.addEventListener('abort', onAbort)
        if (signal.aborted) onAbort()
      })
      let lose = (): void => {}
      const lost = new Promise<never>((_, reject) => {
        lose = () => reject(new MeshError('unavailable', 'the connection to the broker ended before it had the message'))
      })
      publishing.add(lose)
      const sent = client.publishAsync(topic, payload, { qos, retain }).catch((error: unknown) => {
        throw new MeshError('unavailable', `the broker did not take the message: ${connectionProblem(error)}`)
      })
      for (const promise of [aborted, lost, sent]) promise.catch(() => {})
      try {
        await Promise.race([sent, lost, aborted])
      } finally {
        signal.removeEventListener('abort', onAbort)
        publishing.delete(lose)
      }
    }
  }
}

async function end(client: MqttClient): Promise<void> {
  // A polite end waits for all acknowledgements, which may never come.
  if (!client.connected || Object.keys(client.outgoing).length > 0) return client.endAsync(true)
  const giveUp = new AbortController()
  const polite = client.endAsync().then(
    () => giveUp.abort(),
    () => giveUp.abort()
  )
  await delay(END_TIMEOUT_MS, giveUp.signal)
  // Another end would do nothing while the first one waits.
  if (!giveUp.signal.aborted) client.stream.destroy()
  await polite
}
