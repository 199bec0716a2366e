/**
 * Many events through five processes (two sources, a forwarder, two handlers) that are killed and started again, and as many over MQTT: whether any is lost,
 * done twice or out of its order, and how fast.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { accountOf } from './events/account.ts'
import { runMesh } from './events/mesh-run.ts'
import { runMqtt } from './events/mqtt-run.ts'

/**
 * @param options `events` in all; `calm`: how many of them before the first kill; `mqtt`: over the broker, none of them with kills; `killMs` between two
 * kills, on average; `seed` of who is killed when; `subjects` of each source.
 */
export async function proveEvents({
  events = 100_000,
  calm = Math.floor(events / 5),
  mqtt = Math.floor(events / 5),
  killMs = 4_000,
  seed = 1,
  subjects = 32,
  keep = 0
}: Record<string, number> = {}): Promise<object> {
  const dir = mkdtempSync(join(tmpdir(), 'atmo-events-'))
  try {
    const mesh = accountOf(await runMesh({ dir: join(dir, 'mesh'), events, calm, killMs, seed, subjects }), events)
    const broker = mqtt === 0 ? undefined : accountOf(await runMqtt({ dir: join(dir, 'mqtt'), events: mqtt, subjects }), mqtt)
    return { seed, mesh, mqtt: broker, pass: mesh.pass }
  } finally {
    if (keep === 0) rmSync(dir, { recursive: true, force: true })
    else process.stderr.write(`kept: ${dir}\n`)
  }
}
