/** A declared agent as people run one: configured, asked, suspended, restarted; its model is a scripted one behind a real HTTP server. */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createAtmo, errorOf, type Atmo } from '../fixtures/atmo.ts'
import { startScriptedModel, type ScriptedModel } from '../fixtures/scripted-model.ts'

const KEY = 'sk-e2e-0123456789'

describe('agents on the command line', function () {
  this.timeout(240_000)
  let atmo: Atmo
  let model: ScriptedModel
  before(async () => {
    atmo = await createAtmo()
    model = await startScriptedModel(undefined, KEY)
    await mkdir(join(atmo.dir, 'home'))
    await writeFile(
      join(atmo.dir, 'home', 'atmo.yaml'),
      `backends:
  - kind: system
  - kind: openai-chat
    id: scripted
    baseUrl: ${model.url}
    model: scripted
    apiKeyEnv: E2E_KEY
agents:
  - id: watcher
    description: Looks after this machine.
    instructions: Say how the machine is.
    tools: [{ types: [system/*], tools: [info, clock] }]
    limits: { steps: 3 }
  - id: bell
    instructions: Ring.
    handles: false
    triggers: [{ event: check, routeHint: 'capability:watcher' }]
`
    )
  })
  after(async () => {
    await atmo.close()
    await model.close()
  })
  const env = { E2E_KEY: KEY, NO_COLOR: '1' }
  const ask = (...args: string[]) => atmo.atmo('home', ['ask', 'watcher', ...args])

  it('an agent uses tools of the mesh, tells its steps, stops at its limit, and keeps its state and its work over a restart', async () => {
    let { child } = await atmo.start('home', [], { env })
    model.play(({ tools: shown = [] }, turn) => {
      const names = shown.map((tool) => tool.function.name)
      // Tools of a machine are named with their node.
      assert.match(names.join(), /^system_home__info_\w{8},system_home__clock_\w{8}$/)
      return turn < 2 ? { text: 'I look', calls: [[names[turn]!, {}]] } : { text: 'All is well.' }
    })
    const good = await ask('How is it?')
    assert.deepEqual([good.code, good.stdout], [0, 'All is well.\n'], good.stderr)
    assert.match(good.stderr, /· I look\n→ system\S* info \{\}\n← .*\n.*→ system\S* clock/s)

    const lines = (await ask('How is it?', '--json')).stdout.trim().split('\n')
    assert.ok(lines.length > 1 && lines.every((line) => JSON.parse(line)))
    model.play(({ tools: shown = [] }) => ({ calls: [[shown[0]!.function.name, {}]] }))
    const stopped = await ask('For ever', '--json')
    assert.deepEqual([stopped.code, errorOf(stopped).details['limit']], [1, 'steps'])
    assert.deepEqual([(await ask(' ')).code, (await atmo.atmo('home', ['agents', 'watcher', '--suspend', '--end'])).code], [2, 2])

    assert.match(
      await atmo.ok('home', 'agents'),
      /^watcher +agent\/watcher +here +running +0 at work, 0 waiting, \d done, 1 failed$/m
    )
    const shown = JSON.parse(await atmo.ok('home', 'agents', 'watcher', '--json')) as { tasks: { id: string; state: string }[] }
    assert.equal(shown.tasks[0]?.state, 'failed')
    const transcript = await atmo.ok('home', 'agents', 'watcher', shown.tasks[0].id)
    assert.match(transcript, /^system\n[\s\S]*Say how the machine is[\s\S]*user\nFor ever\nassistant\n→ system/)
    assert.match(transcript, /tool_failed: the agent has used up its 3 steps/)
    assert.ok(!transcript.includes(KEY) && !transcript.includes(model.url))

    assert.match(await atmo.ok('home', 'agents', 'watcher', '--suspend', '--reason', 'night'), /suspended now/)
    assert.equal((await ask('Still there?')).code, 1)
    await atmo.ok('home', 'stop')
    await child.ended

    model.play(() => ({ text: 'Went on.' }))
    ;({ child } = await atmo.start('home', [], { env }))
    assert.match(await atmo.ok('home', 'agents'), /suspended: night +0 at work, 0 waiting/)
    const { outcome } = JSON.parse(await atmo.ok('home', 'fire', 'bell', 'check', '--json')) as { outcome: string }
    assert.equal(outcome, 'queued')
    assert.equal(model.requests.length, 0)
    await atmo.ok('home', 'agents', 'watcher', '--resume')
    let states: string[] = []
    for (let tries = 0; !states.includes('done event') && tries < 50; tries++) {
      const { tasks } = JSON.parse(await atmo.ok('home', 'agents', 'watcher', '--json')) as { tasks: Record<string, string>[] }
      states = tasks.map(({ state, kind }) => `${state} ${kind}`)
    }
    assert.ok(states.includes('done event'), states.join())
    await atmo.ok('home', 'stop')
    await child.ended
  })
})
