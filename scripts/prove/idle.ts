/** Hosts that have nothing to do: CPU, memory and bytes of each, and what the bytes are for. */
import { startFleet } from './started-fleet.ts'
import type { Fleet, FleetNode } from './fleet.ts'

/** What one host has used since it started. Bytes and packets are those of its interface and of its network stack. */
interface Usage {
  cpuUs: number
  rss: number
  bytesIn: number
  bytesOut: number
  packets: number
  /** Of IP packets to and from groups: mDNS. */
  multicastBytes: number
  /** TCP: segments, those of them that carry data, and the data, in and out, of connections that are open. */
  tcp: { segments: number; dataSegments: number; dataBytes: number }
}

/** Ethernet, IPv4 and TCP with timestamps, in bytes a segment. */
const SEGMENT_OVERHEAD_BYTES = 14 + 20 + 32

/** @param seconds how long they are watched, after `settle` seconds. */
export async function proveIdle({
  nodes: count = 10,
  seconds = 60,
  settle = 15
}: { nodes?: number; seconds?: number; settle?: number } = {}): Promise<object> {
  const fleet = await startFleet(count, { watch: false })
  try {
    for (const node of fleet.nodes) for (const k of [1, 2, 3]) await node.ask('register', { id: `${node.name}-${k}` })
    await new Promise((resolve) => setTimeout(resolve, settle * 1_000))
    const before = await Promise.all(fleet.nodes.map((node, n) => usage(fleet, node, n)))
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000))
    const after = await Promise.all(fleet.nodes.map((node, n) => usage(fleet, node, n)))
    const perSecond = (read: (usage: Usage) => number): { mean: number; max: number } =>
      spread(after.map((a, n) => (read(a) - read(before[n]!)) / seconds))
    const bytes = perSecond((use) => use.bytesIn + use.bytesOut)
    const [bytesIn, bytesOut] = [perSecond((use) => use.bytesIn), perSecond((use) => use.bytesOut)]
    const rss = spread(after.map(({ rss }) => rss / 1024 / 1024))
    return {
      nodes: count,
      seconds,
      cpuPercent: perSecond(({ cpuUs }) => cpuUs / 1e4),
      rssMb: rss,
      bytesPerSecondInAndOut: bytes,
      bytesPerSecondOut: bytesOut,
      bytesPerSecondIn: bytesIn,
      packetsPerSecond: perSecond(({ packets }) => packets),
      meanBytesPerSecondOf: {
        multicast: perSecond(({ multicastBytes }) => multicastBytes).mean,
        tcpData: perSecond(({ tcp }) => tcp.dataBytes).mean,
        tcpDataHeaders: perSecond(({ tcp }) => tcp.dataSegments * SEGMENT_OVERHEAD_BYTES).mean,
        tcpAcks: perSecond(({ tcp }) => (tcp.segments - tcp.dataSegments) * SEGMENT_OVERHEAD_BYTES).mean
      },
      // As the design counts the reference (147 kB/s: rows to eight peers): what a node sends. What it hears is held to the same.
      pass: rss.max < 150 && Math.max(bytesIn.mean, bytesOut.mean) < 1_000
    }
  } finally {
    await fleet.close()
  }
}

function spread(values: number[]): { mean: number; max: number } {
  return { mean: values.reduce((sum, value) => sum + value, 0) / values.length, max: Math.max(...values) }
}

async function usage({ lab }: Fleet, node: FleetNode, n: number): Promise<Usage> {
  const { cpuUs, rss } = await node.ask<{ cpuUs: number; rss: number }>('usage')
  const text = lab.exec(lab.hosts[n]!, ['sh', '-c', 'cat /proc/net/dev /proc/net/netstat; ss -tinH state established'])
  const device = /eth0: *(\d+) +(\d+)(?: +\d+){6} +(\d+) +(\d+)/.exec(text)!.slice(1).map(Number)
  const [names, values] = [...text.matchAll(/^IpExt: (.*)$/gm)].map(([, line]) => line!.split(' '))
  const ip = (name: string): number => Number(values![names!.indexOf(name)])
  const tcp = (...fields: string[]): number =>
    fields
      .flatMap((field) => [...text.matchAll(new RegExp(`\\b${field}:(\\d+)`, 'g'))])
      .reduce((sum, [, value]) => sum + Number(value), 0)
  return {
    cpuUs,
    rss,
    bytesIn: device[0]!,
    bytesOut: device[2]!,
    packets: device[1]! + device[3]!,
    multicastBytes: ip('InMcastOctets') + ip('OutMcastOctets'),
    tcp: {
      segments: tcp('segs_in', 'segs_out'),
      dataSegments: tcp('data_segs_in', 'data_segs_out'),
      dataBytes: tcp('bytes_sent', 'bytes_received')
    }
  }
}
