import type { Command } from 'commander'
import type { CallLine } from '../http/call-routes.ts'
import { MeshError } from '../errors.ts'
import type { CapabilityView } from '../mesh-api.ts'
import { addParams, readParams, schemaOf } from './call-input.ts'
import { createCallPrinter } from './call-output.ts'
import { connectToNode, type NodeClient, type StreamRequest } from './client.ts'
import { EXIT, contextOf, gather, interruptSignal, parseDuration, withNodeOptions, type NodeOptions } from './command-line.ts'
import type { Output } from './output.ts'
import { withNames } from './peer-names.ts'
import { preferenceOf, withPreference, type PreferenceFlags } from './preference.ts'

interface CallFlags extends NodeOptions, PreferenceFlags {
  params?: string
  param?: string[]
  timeout?: number
  idempotencyKey?: string
  failover: boolean
  out?: string
}

/** `atmo call CAPABILITY TOOL`. Exit code 0 if the call ended well, else 1. Ctrl-C cancels it where it runs. */
export function addCall(program: Command): void {
  withPreference(
    withNodeOptions(
      program
        .command('call')
        .description('call a tool, wherever it is')
        .argument('<capability>', 'id or type; ID@NODE for the one of a certain node')
        .argument('<tool>', 'name of the tool')
    )
  )
    .option('--params <json>', 'input as JSON; @FILE reads a file, - reads stdin')
    .option('--param <key=value>', 'one key of the input, several times if need be: JSON if it parses, else text', gather)
    .option('--timeout <duration>', 'time for the call, retries included: 500ms, 5s, 2m; a bare number is seconds', parseDuration)
    .option('--idempotency-key <key>', 'the same key twice is the same call')
    .option('--no-failover', 'try one provider only')
    .option('--out <file>', 'write the bytes that the tool yields to a file')
    .addHelpText(
      'after',
      `
Examples:
  $ atmo call system@kitchen info
  $ atmo call system@kitchen count --param to=5 --param intervalMs=200
  $ atmo call files read --param path=photos/cat.jpg --out cat.jpg
  $ atmo call llm/chat chat --params @question.json --prefer cheap --not-node laptop
  $ echo '{"text":"hello"}' | atmo call system@kitchen echo --params -`
    )
    .action(async (capability: string, tool: string, flags: CallFlags) => {
      const { dataDir, output } = contextOf(flags)
      const given = flags.params === undefined ? undefined : await readParams(flags.params)
      const params = flags.param ?? []
      // Checked before the node is asked, so that wrong usage is told as such.
      addParams(given, params)
      const preference = preferenceOf(flags)
      const client = await connectToNode(dataDir)
      const { signal, off } = interruptSignal()
      try {
        const input = addParams(given, params, params.length > 0 ? await findSchema(client, capability, tool) : undefined)
        const { timeout: timeoutMs, idempotencyKey, failover } = flags
        const path = `/capabilities/${encodeURIComponent(capability)}/tools/${encodeURIComponent(tool)}`
        const body = { input, timeoutMs, ...preference, idempotencyKey, ...(!failover && { failover }) }
        const request: StreamRequest = { method: 'POST', path, body, signal }
        await (output.json ? passOn(client, request, output) : show(client, request, output, flags.out))
      } finally {
        off()
      }
    })
}

async function findSchema(client: NodeClient, capability: string, tool: string) {
  const query = new URLSearchParams({ tool }).toString()
  const { capabilities } = await client.get<{ capabilities: CapabilityView[] }>(`/mesh/capabilities?${query}`)
  return schemaOf(capabilities, capability, tool)
}

/** The lines of the API are the lines of the command. */
export async function passOn(client: NodeClient, request: StreamRequest, output: Output): Promise<void> {
  let last = ''
  for await (const line of client.lines(request)) {
    last = line
    await output.out(`${line}\n`)
  }
  if (last.startsWith('{"status":"error"')) process.exitCode = EXIT.failure
  else if (!last.startsWith('{"status":')) throw cutOff()
}

async function show(client: NodeClient, request: StreamRequest, output: Output, out: string | undefined): Promise<void> {
  const printer = await createCallPrinter(output, out)
  let ended = false
  try {
    for await (const text of client.lines(request)) {
      const line = JSON.parse(text) as CallLine
      ended = 'status' in line
      await printer.print(line)
    }
  } catch (error) {
    throw await withNames(client, error)
  } finally {
    await printer.close()
  }
  if (!ended) throw cutOff()
}

const cutOff = () => new MeshError('unavailable', 'the node went away before the call ended')
