/** The address of the local API, as people write it. */

/** What is wrong with one, in words; undefined if nothing is. */
export function apiAddressProblem(text: string): string | undefined {
  return readApiAddress(text) === undefined
    ? `'${text}' is not an address for the local API; write HOST:PORT, such as 127.0.0.1:7700`
    : undefined
}

/** Reads `HOST:PORT`, `:PORT` or `PORT`, `[::1]:PORT` for IPv6. Undefined if it is none of them. */
export function readApiAddress(text: string): { host: string; port: number } | undefined {
  const match = /^(?:(?:\[([0-9a-f:.]+)\]|([^:[\]\s]*)):)?(\d{1,5})$/i.exec(text.trim())
  const port = Number(match?.[3])
  if (match === null || port > 65_535) return undefined
  return { host: match[1] ?? (match[2] || '127.0.0.1'), port }
}

/** Shortest key for an API that others can reach, in characters. */
const MIN_KEY_LENGTH = 16

/** What is wrong with the key of an API on this host, in words; undefined if nothing is. `address`: how people wrote it. */
export function apiKeyProblem(host: string, address: string, apiKey: string | undefined): string | undefined {
  return isLoopbackHost(host) || (apiKey ?? '').length >= MIN_KEY_LENGTH
    ? undefined
    : `the local API would be open to other machines on ${address}: give a key of at least ${MIN_KEY_LENGTH} characters with --api-key-file FILE, or listen on 127.0.0.1`
}

/** True if only this machine can reach an API on this host. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/.test(host)
}
