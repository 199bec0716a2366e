/**
 * Many events through five processes (two sources, a forwarder, two handlers) that are killed and started again, and as many over MQTT: whether any is lost,
 * done twice or out of its order, and how fast.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hasProgram } from '../../test/fixtures/system-program.ts'
import { ROLES, accountOf } from './events/account.ts'
import { runMesh } from './events/mesh-run.ts'
import { runMqtt } from './events/mqtt-run.ts'

/** What each has done by the time that it says that an event is handed over. What sources and handlers do themselves is the same: no file is synced. */
const DURABILITY = {
  mesh: 'on the disks of its source, before it is sent, and of the node of its handler, before it is accepted: many events to one fdatasync',
  mqtt: 'in the memory of the broker, which writes it to its disk every half hour and when it stops (persistence of mosquitto): no fsync; sources keep nothing'
}

/**
 * @param options `events` in all; `calm`: how many of them before the first kill; `mqtt`: over the broker, none of them with kills, so by default as many as
 * of the mesh are without; `kills`, spread over the other events: each three of them hit a source, the forwarder and a handler; `seed` of who is killed when;
 * `subjects` of each source.
 */
export async function proveEvents({
  events = 100_000,
  calm = Math.floor(events / 5),
  mqtt = calm,
  kills = 24,
  seed = 1,
  subjects = 32,
  keep = 0
}: Record<string, number> = {}): Promise<object> {
  // Before the long part, not after it.
  if (mqtt > 0 && !hasProgram('mosquitto'))
    throw new Error('mosquitto, the broker to compare with, is not installed; --mqtt 0 leaves it out')
  const dir = mkdtempSync(join(tmpdir(), 'atmo-events-'))
  try {
    const mesh = accountOf(await runMesh({ dir: join(dir, 'mesh'), events, calm, kills, seed, subjects }), events)
    const broker = mqtt === 0 ? undefined : accountOf(await runMqtt({ dir: join(dir, 'mqtt'), events: mqtt, subjects }), mqtt)
    const wasHit = kills < ROLES.length || (mesh['killedRoles'] as string[]).length === ROLES.length
    return { seed, durability: DURABILITY, mesh, mqtt: broker, pass: mesh.pass && wasHit }
  } finally {
    if (keep === 0) rmSync(dir, { recursive: true, force: true })
    else process.stderr.write(`kept: ${dir}\n`)
  }
}
