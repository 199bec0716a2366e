/** Steps in which nodes go: killed, told to end, stopped. */
import { showDuration } from '../../src/cli/output.ts'
import { call, failed, succeeded, valuesOf } from './steps-call.ts'
import { counted, type Counted } from './steps-cancel.ts'
import type { NodeName } from './nodes.ts'
import { check, gone } from './programs.ts'
import { nodeOf, type Step } from './steps.ts'

const TO = 40

/** The provider of a streamed call is killed in the middle of it. */
export const failover: Step = {
  name: 'failover',
  title: 'A provider is killed in the middle of a call',
  async run(stage) {
    const running = call(stage, 'tools', 'count', '--param', `to=${TO}`)
    const first = await counted(running, 10)
    stage.pids.add(first.pid)
    const victim = nodeOf(stage, first.at as NodeName)
    const desk = nodeOf(stage, 'desk')
    const killedAt = performance.now()
    victim.process.kill('SIGKILL')
    stage.report.say(`after ${first.n} lines from ${victim.name}: kill -9 ${victim.process.pid}`)
    const restart = await running.waitFor((line) => ('kind' in line && line.kind === 'restart') || 'status' in line, 'restart')
    check(
      'kind' in restart.line && restart.line.kind === 'restart',
      `the call ended instead of starting over: ${JSON.stringify(restart.line)}`
    )
    const again = await counted(running, 1, running.lines.indexOf(restart))
    stage.pids.add(again.pid)
    const ms = again.readAt - killedAt
    check(again.n === 1 && again.at !== victim.name, `${again.at} went on with ${again.n}; another had to start over with 1`)
    stage.report.say(`restart at ${again.at}, first line after ${showDuration(ms)}`)
    const { providerName, route, result } = await succeeded(running)
    check(providerName === again.at, `${providerName} answered, ${again.at} counted`)
    check(
      route.tried[0]?.provider === victim.peerId,
      `the route does not name ${victim.name} as tried: ${JSON.stringify(route.tried)}`
    )
    const numbers = (valuesOf(running) as Counted[]).filter(({ at }) => at === again.at).map(({ n }) => n)
    check(numbers.join() === Array.from({ length: TO }, (_, n) => n + 1).join(), `after the restart came ${numbers.join(', ')}`)
    stage.report.say(`${again.at} counted from 1 to ${TO}; result ${JSON.stringify(result)}`)
    const left = await desk.process.waitFor(
      (line) => line.event === 'peer:leave' && line.peerId === victim.peerId,
      `leave of ${victim.name}`
    )
    stage.nodes.delete(victim.name)
    return { ms, what: `from the kill until the first line of ${again.at}`, times: { leaveSeenMs: left.at - killedAt } }
  }
}

/** A provider is told to end, and says goodbye. */
export const withdrawal: Step = {
  name: 'withdrawal',
  title: 'A provider ends in order, and the others know at once',
  async run(stage) {
    const name: NodeName = stage.nodes.has('cellar') ? 'cellar' : 'garage'
    const node = nodeOf(stage, name)
    const toldAt = performance.now()
    node.process.kill('SIGTERM')
    stage.report.say(`kill -TERM ${node.process.pid} (${name})`)
    const seen = await Promise.all(
      (['desk', 'attic'] as const).map(async (witness) => {
        const { process } = nodeOf(stage, witness)
        const removed = await process.waitFor(
          (line) => line.event === 'capability:removed' && line.node === node.peerId && line.id === 'tools',
          `removal of tools of ${name}`
        )
        const left = await process.waitFor(
          (line) => line.event === 'peer:leave' && line.peerId === node.peerId,
          `leave of ${name}`
        )
        stage.report.say(`${witness.padEnd(5)} sees it gone after ${showDuration(removed.at - toldAt)}`)
        return Math.max(removed.at, left.at)
      })
    )
    const { code, at } = await node.process.ended()
    check(code === 0, `${name} ended with exit code ${code}, not 0`)
    stage.nodes.delete(name)
    // The one that was killed has not said goodbye: it may come back.
    const error = await failed(call(stage, 'tools', 'sort', '--param', 'file=trees.txt'), 'unavailable')
    stage.report.say(error.message)
    return {
      ms: Math.max(...seen) - toldAt,
      what: 'from SIGTERM until desk and attic knew; exit code 0',
      times: { exitMs: at - toldAt }
    }
  }
}

/** The rest is stopped by command, and nothing is left. */
export const shutdown: Step = {
  name: 'stop',
  title: 'The rest is stopped, and nothing is left behind',
  async run(stage) {
    const startedAt = performance.now()
    await Promise.all(
      [...stage.nodes.values()].map(async ({ name, process }) => {
        const code = await stage.fleet.stop(name)
        const exit = await process.ended()
        check(code === 0 && exit.code === 0, `${name} ended with exit code ${exit.code}, atmo stop with ${code}`)
        stage.report.say(`${name.padEnd(5)} has ended`)
        stage.nodes.delete(name)
      })
    )
    for (const pid of stage.pids) await gone(pid, 'a program of a tool')
    return { ms: performance.now() - startedAt, what: 'atmo stop ended both; no program of a tool is left' }
  }
}
