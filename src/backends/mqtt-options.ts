/** What the MQTT client is given, secrets included, and what its errors mean. Neither shows a secret. */
import type { IClientOptions } from 'mqtt'
import { MeshError } from '../errors.ts'
import type { MqttConfig } from './mqtt-config.ts'
import { certificateFile, readSecret, secretFile } from './secret-source.ts'
import type { SecretInit } from './secret-source.ts'

/** Time that a broker has to answer, in ms. */
export const CONNECT_TIMEOUT_MS = 10_000

/** Reads secrets and certificates anew for each connection. Throws `unavailable` that names the file or variable, never what is in it. */
export async function clientOptions(config: MqttConfig, init: SecretInit): Promise<IClientOptions> {
  const { tls = {}, clientId } = config
  const options: IClientOptions = {
    protocolVersion: 4,
    connectTimeout: CONNECT_TIMEOUT_MS,
    // Reconnecting, subscribing again and waiting are ours: a client is for one connection.
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    clean: clientId === undefined,
    rejectUnauthorized: true
  }
  if (clientId !== undefined) options.clientId = clientId
  const username = config.username ?? (await readSecret({ variable: config.usernameEnv, file: undefined }, init))
  if (username !== undefined) options.username = username
  const password = await readSecret({ variable: config.passwordEnv, file: config.passwordFile }, init)
  if (password !== undefined) options.password = password
  if (tls.caFile !== undefined) options.ca = await certificateFile(tls.caFile, init)
  if (tls.certFile !== undefined) options.cert = await certificateFile(tls.certFile, init)
  if (tls.keyFile !== undefined) options.key = await secretFile(tls.keyFile, init)
  return options
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing answers at the address of the broker; start it, or change url',
  ENOTFOUND: 'the name of the broker cannot be resolved; change url, or check the network',
  EAI_AGAIN: 'the name of the broker cannot be resolved; change url, or check the network',
  ETIMEDOUT: 'the broker cannot be reached; check the network',
  EHOSTUNREACH: 'the broker cannot be reached; check the network',
  ENETUNREACH: 'the broker cannot be reached; check the network',
  CERT_HAS_EXPIRED: 'the certificate of the broker has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate of the broker is not for the host in url'
}

/** Why there is no connection, for people. */
export function connectionProblem(error: unknown): string {
  if (error instanceof MeshError) return error.message
  const { code, message = '' } = (error ?? {}) as { code?: string | number; message?: string }
  if (code === 4 || code === 5) return 'the broker refuses the user or its password; check them'
  if (typeof code === 'number') return `the broker refuses the connection: ${message.replace(/^Connection refused: /, '')}`
  if (code !== undefined && Object.hasOwn(REASONS, code)) return REASONS[code]!
  if (/CERT|ISSUER|SIGNED|VERIFY/.test(code ?? ''))
    return `the certificate of the broker is not trusted (${code}); name the one of its authority in tls.caFile`
  if (code?.startsWith('ERR_SSL') || code === 'EPROTO')
    return `the broker does not speak TLS here, or asks for a certificate (${code}); check url and tls`
  if (/connack timeout/i.test(message)) return 'the broker does not answer; is it one?'
  return code === undefined ? 'the broker closed the connection' : `the connection to the broker failed (${code})`
}
