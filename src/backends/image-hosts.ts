import type { JsonObject } from '../core/invoke.ts'

/** Most hosts that a backend names. */
const MAX_IMAGE_HOSTS = 16

/** Property `imageHosts` in a JSON Schema. @param description what is fetched there. */
export function imageHostsSchema(description: string): JsonObject {
  return {
    type: 'array',
    maxItems: MAX_IMAGE_HOSTS,
    items: { type: 'string', pattern: '^(https?://)?(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$' },
    description
  }
}

/** The origins (RFC 6454) of hosts as a configuration names them. One without a scheme has that of `baseUrl`: what is encrypted there is so here. */
export function originsOf(baseUrl: string, hosts: readonly string[]): string[] {
  return hosts.map((host) => new URL(host.includes('://') ? host : `${new URL(baseUrl).protocol}//${host}`).origin)
}
