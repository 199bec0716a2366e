// The program behind the demo's tool `count`: counts from 1, one JSON line after another. Arguments: last number, wait in ms.
// What it prints says which process printed it, so that the demo can look whether that process has ended.
const [to, intervalMs] = process.argv.slice(2).map(Number)
const at = process.env.DEMO_NODE ?? ''

// Nobody reads any more: the node that started it was killed.
process.stdout.on('error', () => process.exit(1))

let n = 0
const next = () => {
  n++
  process.stdout.write(`${JSON.stringify({ n, at, pid: process.pid })}\n`)
  if (n < to) setTimeout(next, intervalMs)
}
next()
