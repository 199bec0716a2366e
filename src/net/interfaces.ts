import { matchName } from '../../protocols/glob.ts'
import { ipBytes, ipScope } from './ip-multiaddr.ts'

/** One address of one network interface of this machine. Loopback is never listed. */
export interface InterfaceAddress {
  /** Interface name: `eth0`. */
  name: string
  family: 4 | 6
  address: string
  /** Length of the network prefix in bits. */
  prefix: number
  linkLocal: boolean
  /** A bridge of a container engine, a VPN, a tunnel: used, but ranked last. */
  virtual: boolean
  /** Hardware address and kernel index where known; they change when an interface is replaced by another of the same name. */
  identity: string
}

/** Which interfaces to use, as globs over their names (`*`, `?`). `deny` wins; an empty or absent `allow` allows all. */
export interface InterfaceFilter {
  allow?: readonly string[]
  deny?: readonly string[]
}

/** The part of `os.networkInterfaces()` that is read. */
export type SystemInterfaces = Readonly<
  Record<
    string,
    | readonly {
        address: string
        family: string | number
        internal: boolean
        cidr: string | null
        mac?: string
        scopeid?: number
      }[]
    | undefined
  >
>

/** Addresses of the machine looked at; a container host with more has its real interfaces first anyway. */
export const MAX_INTERFACE_ADDRESSES = 128

const VIRTUAL_NAMES = [
  'docker*',
  'br-*',
  'veth*',
  'virbr*',
  'vmnet*',
  'vboxnet*',
  'vnet*',
  'cni*',
  'flannel*',
  'cali*',
  'podman*',
  'lxc*',
  'lxd*',
  'nerdctl*',
  'tun*',
  'tap*',
  'utun*',
  'ppp*',
  'tailscale*',
  'wg*',
  'zt*',
  'nebula*',
  'ipsec*',
  'bridge1??',
  'awdl*',
  'llw*',
  'vEthernet*'
]

/** True for the names that container engines, hypervisors and VPNs give. A veth end renamed to `eth0` inside a container is real there. */
export function isVirtualInterface(name: string): boolean {
  return VIRTUAL_NAMES.some((pattern) => matchName(pattern, name))
}

/** True if the filter lets an interface of this name be used. */
export function isAllowedInterface(name: string, filter: InterfaceFilter = {}): boolean {
  const fits = (globs: readonly string[]): boolean => globs.some((glob) => matchName(glob, name))
  if (filter.deny !== undefined && fits(filter.deny)) return false
  return filter.allow === undefined || filter.allow.length === 0 || fits(filter.allow)
}

/** Usable addresses out of `os.networkInterfaces()`: no loopback, filtered, real interfaces first, at most {@link MAX_INTERFACE_ADDRESSES}. */
export function readInterfaces(system: SystemInterfaces, filter: InterfaceFilter = {}): InterfaceAddress[] {
  const found: InterfaceAddress[] = []
  for (const [name, addresses] of Object.entries(system)) {
    if (addresses === undefined || !isAllowedInterface(name, filter)) continue
    for (const { address, family, internal, cidr, mac, scopeid } of addresses) {
      const scope = ipScope(address)
      if (internal || scope === 'loopback' || scope === 'unusable' || scope === 'unspecified') continue
      const is4 = family === 'IPv4' || family === 4
      const prefix = Number(cidr?.split('/')[1] ?? (is4 ? 32 : 128))
      found.push({
        name,
        family: is4 ? 4 : 6,
        address,
        prefix,
        linkLocal: scope === 'link-local',
        virtual: isVirtualInterface(name),
        identity: `${mac ?? ''}#${scopeid ?? 0}`
      })
    }
  }
  return found.sort((a, b) => Number(a.virtual) - Number(b.virtual)).slice(0, MAX_INTERFACE_ADDRESSES)
}

/** True if `host` lies in the network of this address. Link-local IPv6 hosts fit any link: the caller compares zones. */
export function isSameSubnet(host: string, local: InterfaceAddress): boolean {
  const [a, b] = [ipBytes(host), ipBytes(local.address)]
  if (a === undefined || b === undefined || a.length !== b.length) return false
  const whole = local.prefix >> 3
  for (let index = 0; index < whole; index++) if (a[index] !== b[index]) return false
  const mask = 0xff & (0xff << (8 - (local.prefix & 7)))
  return (local.prefix & 7) === 0 || ((a[whole] ?? 0) & mask) === ((b[whole] ?? 0) & mask)
}
