import { randomBytes } from 'node:crypto'
import { capturePackets } from '../../../test/fixtures/capture.ts'
import { lineLinks, registerAt, startLinked, type Called } from './linked-fleet.ts'

/** A marker stands so often in what is sent: somewhere it is whole within one packet. */
const REPEATED = 2_000
const CALLS = 20

/** Three hosts in a line, all packets of the one in the middle: what a call carries is not among them. */
export async function proveSecrecy(): Promise<{ pass: boolean } & Record<string, unknown>> {
  const fleet = await startLinked(3, lineLinks(3))
  try {
    const { nodes, lab } = fleet
    const [caller, , provider] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]]
    const [left, middle, right] = lab.hosts as [(typeof lab.hosts)[0], (typeof lab.hosts)[0], (typeof lab.hosts)[0]]
    const [tool, input, controlLeft, controlRight] = ['tool', 'data', 'left', 'right'].map(
      (name) => `${name}${randomBytes(12).toString('hex')}`
    ) as [string, string, string, string]
    const capture = await capturePackets(lab, middle)
    // Registered meanwhile: a tool's name is not to be seen when it is announced either.
    await registerAt(provider, caller, { id: 'far', tools: [tool] })
    const calls: Called[] = []
    for (let n = 0; n < CALLS; n++)
      calls.push(await caller.ask<Called>('call', { target: 'far', tool, input: { text: input.repeat(REPEATED) } }))
    // What is not encrypted is seen on either side, or the capture shows nothing.
    lab.exec(left, ['bash', '-c', `printf %s ${controlLeft} > /dev/udp/${middle.ip4}/9`])
    lab.exec(right, ['bash', '-c', `printf %s ${controlRight} > /dev/udp/${middle.second}/9`])
    const { bytes, packets, dropped } = await capture.stop(controlRight)
    const seen = (marker: string): number => bytes.toString('latin1').split(marker).length - 1
    // Text as it is, and what is made of binary on the way to text.
    const forms = [tool, input].flatMap((marker) => [marker, ...inBase64(marker)])
    const found = forms.reduce((sum, form) => sum + seen(form), 0)
    const controls = [seen(controlLeft), seen(controlRight)]
    const passedOn = 4 * CALLS * input.length * REPEATED
    const over = calls.filter(({ ok, hops, path }) => ok && hops === 2 && path?.[1] === nodes[1]!.peerId).length
    return {
      ...{ calls: CALLS, overTheMiddle: over, packets, dropped, megabytes: bytes.length / 1e6 },
      ...{ megabytesOfCalls: passedOn / 1e6, found, controls },
      pass: over === CALLS && found === 0 && dropped === 0 && bytes.length > passedOn && controls.every((n) => n > 0)
    }
  } finally {
    await fleet.close()
  }
}

/** The part of a text in base64 that is the same whatever stands before and after it, for each of the three places at which it may begin. */
function inBase64(text: string): string[] {
  return [0, 1, 2].map((before) =>
    Buffer.from('x'.repeat(before) + text)
      .toString('base64')
      .slice(4, -4)
  )
}
