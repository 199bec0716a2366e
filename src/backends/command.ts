/** Backend `command`: programs of this machine as tools, without a shell, streamed, and gone when the call is. */
import { resolve } from 'node:path'
import { Readable } from 'node:stream'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { CapabilityDeclaration, ToolDeclaration } from '../../protocols/capability.ts'
import { MeshError, abortError } from '../errors.ts'
import type { Item } from '../core/invoke.ts'
import type { ToolHandler } from '../mesh-api.ts'
import type { Backend } from './backend.ts'
import { createProgramGroup, programEnv } from './child-process.ts'
import type { Exit, Program, ProgramGroup } from './child-process.ts'
import { compileArguments } from './command-arguments.ts'
import type { CommandConfig, CommandToolConfig, StdoutMode } from './command-config.ts'
import { readOutput } from './command-output.ts'
import { watchPrograms } from './command-triggers.ts'
import { createHandlerCalls, lookupIn } from './handler-calls.ts'
import { programProblem } from './program-path.ts'
import { createRecheck, discoverBy } from './recheck.ts'
import type { Recheck } from './recheck.ts'

/** What the backend needs beside its configuration. */
export interface CommandInit {
  /** Folder that relative paths start from. */
  baseDir: string
  /** Time between two looks for missing programs, in ms. Default 30,000. */
  recheckMs?: number
}

/** Makes a command backend. Throws `invalid_config` for templates that cannot work. */
export function createCommandBackend(config: CommandConfig, init: CommandInit): Backend {
  const programs = createProgramGroup()
  const tools = config.tools ?? []
  const recheck = createRecheck(() => declare(config, init), { everyMs: init.recheckMs })
  const handlers = new Map<string, ToolHandler>()
  for (const tool of tools) {
    if (handlers.has(tool.name))
      throw new MeshError('invalid_config', `backend "${config.id}": two tools are called "${tool.name}"; rename one`)
    handlers.set(tool.name, createHandler(tool, { ...init, programs, recheck }))
  }
  const calls = createHandlerCalls(lookupIn(config.id, handlers))

  return {
    id: config.id,
    kind: 'command',
    call: calls.call,
    watch: (signal) => watchPrograms(config, { ...init, programs }, signal),
    discover: (signal) => discoverBy(recheck, calls, signal, () => programs.killAll())
  }
}

function createHandler(tool: CommandToolConfig, init: CommandInit & { programs: ProgramGroup; recheck: Recheck }): ToolHandler {
  const buildArguments = compileArguments(tool)
  const program = tool.run[0] ?? ''
  const stdout = stdoutMode(tool)

  return async function* (input, context) {
    const args = buildArguments(input)
    const { signal } = context
    const spec = {
      program,
      args,
      env: programEnv(tool.env),
      cwd: folderOf(tool, init),
      stdin: tool.stdin === 'input' || tool.stdin === 'stream'
    }
    const child = await init.programs.start(spec).catch((error: unknown) => {
      init.recheck.now()
      throw error
    })
    const onAbort = (): void => void child.kill()
    signal.addEventListener('abort', onAbort)
    try {
      if (signal.aborted) throw abortError(signal)
      if (child.stdin !== null) feed(child.stdin, tool.stdin === 'input' ? [`${JSON.stringify(input)}\n`] : context.stream)
      return yield* readOutput(child.stdout, stdout, () => endedWell(child, tool.name, signal))
    } finally {
      signal.removeEventListener('abort', onAbort)
      await child.kill()
    }
  }
}

/** Waits for the end of the program. Throws `tool_failed` unless it ended well. */
async function endedWell(child: Program, tool: string, signal: AbortSignal): Promise<void> {
  const exit = await child.exited
  if (signal.aborted) throw abortError(signal)
  if (exit.exitCode !== 0) throw exitError(tool, exit, child.stderr())
}

function exitError(tool: string, { exitCode, signal }: Exit, stderr: string): MeshError {
  const how = exitCode === null ? `was ended by ${signal}` : `ended with exit code ${exitCode}`
  const lastLine = stderr.slice(stderr.lastIndexOf('\n') + 1).trim()
  return new MeshError('tool_failed', `the program of tool "${tool}" ${how}${lastLine === '' ? '' : `: ${lastLine}`}`, {
    exitCode,
    signal,
    stderr
  })
}

/** Writes the input of a program as fast as it reads. Never fails: why a program stopped reading its exit code tells. */
function feed(stdin: Writable, source: Iterable<string> | AsyncIterable<Item> | undefined): void {
  if (source === undefined) stdin.end()
  else pipeline(Readable.from(toChunks(source)), stdin).catch(() => {})
}

async function* toChunks(source: Iterable<string> | AsyncIterable<Item>): AsyncGenerator<string | Uint8Array, void, void> {
  for await (const item of source) {
    if (typeof item === 'string') yield item
    else if (item.kind === 'bytes') yield item.bytes
    else if (item.kind === 'json') yield `${JSON.stringify(item.value)}\n`
  }
}

function stdoutMode(tool: CommandToolConfig): StdoutMode {
  return tool.stdout ?? (tool.streams === true ? 'lines' : 'text')
}

function folderOf(tool: { cwd?: string }, init: CommandInit): string {
  return resolve(init.baseDir, tool.cwd ?? '.')
}

async function declare(config: CommandConfig, init: CommandInit): Promise<CapabilityDeclaration[]> {
  const { kind: _kind, tools: given = [], triggers = [], ...rest } = config
  const problems = new Map<string, string>()
  for (const tool of given) {
    const path = programEnv(tool.env)['PATH'] ?? ''
    const problem = await programProblem(tool.run[0] ?? '', { cwd: folderOf(tool, init), path })
    if (problem !== undefined) problems.set(tool.name, problem)
  }
  const usable = given.filter((tool) => !problems.has(tool.name))
  const offline = given.length > 0 && usable.length === 0
  const declaration: CapabilityDeclaration = {
    ...rest,
    tools: (offline ? given : usable).map(toDeclaration),
    triggers: triggers.map(({ run: _run, env: _env, cwd: _cwd, ...trigger }) => trigger),
    status: offline ? 'offline' : problems.size > 0 ? 'degraded' : 'online'
  }
  if (problems.size > 0)
    declaration.statusReason = [...problems].map(([tool, problem]) => `tool "${tool}": ${problem}`).join('; ')
  return [declaration]
}

function toDeclaration(tool: CommandToolConfig): ToolDeclaration {
  // How a tool is made is nobody's business on the mesh.
  const { run: _run, stdin, stdout: _stdout, allowDash: _allowDash, env: _env, cwd: _cwd, ...declared } = tool
  const mode = stdoutMode(tool)
  const declaration: ToolDeclaration = { ...declared, streams: mode !== 'text' && mode !== 'json' }
  if (stdin === 'stream') declaration.acceptsStream = true
  return declaration
}
