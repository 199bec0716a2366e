// Installs the Debian packages that some tests need, where it can; elsewhere it says which cases will be skipped.
// It never fails: a machine without them still runs every other test.
import { spawnSync } from 'node:child_process'
import { installLlamaServer } from './llama-server.mjs'

/** What a test needs from the system: the command, the package that has it, and the cases that are skipped without it. */
const NEEDS = [
  {
    command: 'ip',
    package: 'iproute2',
    cases: 'hosts in network namespaces (test/e2e: mDNS without a default route, cable cut, partition)'
  },
  { command: 'script', package: 'bsdutils', cases: 'questions at a terminal (test/unit/cli/terminal)' },
  { command: 'mosquitto', package: 'mosquitto', cases: 'a real MQTT broker (test/backends/mqtt)' },
  { command: 'ffmpeg', package: 'ffmpeg', cases: 'cameras (test/backends/camera), the security demo (test/e2e/demo-security)' },
  {
    command: 'espeak-ng',
    package: 'espeak-ng',
    cases: 'speech (test/backends/speech), the security demo (test/e2e/demo-security)'
  },
  {
    command: 'llama-server',
    package: 'llama.cpp-tools',
    install: installLlamaServer,
    cases: 'a real engine behind nodes and stand-ins (test/e2e/engines)'
  }
]

// Servers live where users other than root do not look.
const path = `${process.env.PATH}:/usr/sbin:/sbin`
const has = (command) =>
  spawnSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore', env: { ...process.env, PATH: path } }).status === 0
const missing = () => NEEDS.filter((need) => !has(need.command))

let wanted = missing()
if (wanted.length > 0 && process.getuid?.() === 0 && has('apt-get')) {
  console.error(`tests need ${wanted.map((need) => need.package).join(', ')}: installing with apt-get`)
  const names = wanted.filter((need) => need.install === undefined).map((need) => need.package)
  // Tests start what they need by themselves: no package shall start a service of the system.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', SYSTEMD_OFFLINE: '1', RUNLEVEL: '1' }
  const apt = (...args) =>
    spawnSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'], env, timeout: 180_000 }).status === 0
  const install = () => apt('install', '-y', '-qq', '--no-install-recommends', ...names)
  if (names.length > 0 && !install() && apt('update', '-qq')) install()
  for (const need of wanted) need.install?.()
  wanted = missing()
}

for (const need of wanted) {
  console.error(`SKIPPED without ${need.command} (Debian package ${need.package}): ${need.cases}`)
}
if (wanted.length === 0 && has('ip')) {
  const name = `atmo-probe-${process.pid}`
  const probe = spawnSync('ip', ['netns', 'add', name], { stdio: 'ignore' }).status === 0
  if (probe) spawnSync('ip', ['netns', 'delete', name], { stdio: 'ignore' })
  else console.error(`SKIPPED without the right to create network namespaces (run as root): ${NEEDS[0].cases}`)
}
