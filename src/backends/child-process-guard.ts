/**
 * Ends programs of this process when it is killed and cannot do so itself. A shell with an open pipe to this process is told which groups run; when the
 * pipe ends, in whatever way this process did, it kills them. So nothing has to be found again later by an id that may be somebody else's by then.
 * POSIX: needs `/bin/sh`; without it programs are left behind as before.
 */
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import type { Writable } from 'node:stream'

/** Reads `+ PID` and `- PID`, until the other end is gone. Signals to the terminal of the node are not for it: the node may take its time to stop. */
const SCRIPT = `
trap '' INT TERM HUP
all=' '
while read -r what pid; do
  case "$what" in
    +) all="$all$pid " ;;
    -) all="\${all%% $pid *} \${all#* $pid }" ;;
  esac
done
for pid in $all; do kill -s KILL -- "-$pid"; done
`

/** Sees to groups of processes that are to end with this one. */
export interface OrphanGuard {
  /** @param pid of the leader of the group. */
  add(pid: number): void
  /** The group has ended: its id may be that of another one soon. */
  remove(pid: number): void
}

/** Starts its shell with the first program, and keeps it as long as this process runs. */
export function createOrphanGuard(): OrphanGuard {
  const guarded = new Set<number>()
  let shell: ChildProcessByStdio<Writable, null, null> | undefined

  function start(): void {
    const child = spawn('/bin/sh', ['-c', SCRIPT], { detached: true, cwd: '/', env: {}, stdio: ['pipe', 'ignore', 'ignore'] })
    shell = child
    // The next program starts another one, which is told of all.
    const gone = (): void => {
      if (shell === child) shell = undefined
    }
    child.once('error', gone)
    child.once('exit', gone)
    child.stdin.on('error', gone)
    child.stdin.write([...guarded].map((pid) => `+ ${pid}\n`).join(''))
    // Neither keeps this process from ending.
    child.unref()
    ;(child.stdin as Writable & { unref?(): void }).unref?.()
  }

  return {
    add(pid) {
      if (process.platform === 'win32') return
      guarded.add(pid)
      if (shell === undefined) start()
      else shell.stdin.write(`+ ${pid}\n`)
    },
    remove(pid) {
      if (guarded.delete(pid)) shell?.stdin.write(`- ${pid}\n`)
    }
  }
}
