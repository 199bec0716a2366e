import type { Command } from 'commander'
import { nearest } from '../../protocols/nearest.ts'
import { shortId } from '../../protocols/short-id.ts'
import { MeshError } from '../errors.ts'
import type { MeaningExample, MeaningExamples } from '../mesh-api.ts'
import { connectToNode, type NodeClient } from './client.ts'
import { contextOf, refuseUnknownCommand, usageError, withNodeOptions, type NodeOptions } from './command-line.ts'
import { confirmMeant } from './confirm-meant.ts'
import { plain, table } from './output.ts'

/** `atmo examples`, `atmo examples add CAPABILITY TEXT`, `atmo examples forget [CAPABILITY]`: what this node has learned of what words mean. */
export function addExamples(program: Command): void {
  const examples = program
    .command('examples')
    .description('list what this node has learned of what words mean')
    .allowExcessArguments()
  withNodeOptions(examples).action(async (options: NodeOptions, self: Command) => {
    refuseUnknownCommand(self)
    const { dataDir, output } = contextOf(options)
    const answer = await (await connectToNode(dataDir)).get<ReturnType<MeaningExamples['list']>>('/mesh/meaning/examples')
    if (output.json) return output.out(`${JSON.stringify(answer)}\n`)
    if (answer.examples.length > 0) await output.out(table(['means', 'text', 'by'], answer.examples.map(rowOf), output.colors))
    else if (answer.learns) await output.out('None.\n')
    else await output.out('None: this node learns none. It does with meaning: { learn: true } in its configuration.\n')
  })
  addAdd(examples)
  addForget(examples)
}

function rowOf({ capability, text, by, node, nodeName = '' }: MeaningExample): string[] {
  return [plain(capability), plain(text), node === undefined ? by : `${by} at ${plain(nodeName)} ${shortId(node)}`]
}

function addAdd(examples: Command): void {
  withNodeOptions(
    examples
      .command('add')
      .description('say what a text means')
      .argument('<capability>', 'its id, or ID@NODE')
      .argument('<text>', 'what somebody says who wants it')
  ).action(async (capability: string, text: string, _options: NodeOptions, self: Command) => {
    if (text.trim() === '') throw usageError('say what somebody says who wants it')
    const { dataDir, output } = contextOf(self.optsWithGlobals<NodeOptions>())
    const learned = await confirmMeant(await connectToNode(dataDir), text, capability)
    await output.out(
      output.json ? `${JSON.stringify(learned)}\n` : `"${plain(learned.text)}" means ${plain(learned.capability)}\n`
    )
  })
}

function addForget(examples: Command): void {
  withNodeOptions(
    examples
      .command('forget')
      .description('forget the examples of a capability, or one of them, or all')
      .argument('[capability]', 'its id')
      .option('--text <text>', 'only this one')
      .option('--all', 'those of all capabilities')
  ).action(async (capability: string | undefined, _flags: NodeOptions & { text?: string; all?: boolean }, self: Command) => {
    const { text, all, ...options } = self.optsWithGlobals<NodeOptions & { text?: string; all?: boolean }>()
    if (capability === undefined && text === undefined && all !== true)
      throw usageError('name a capability, or say --all: atmo examples forget lamp')
    if (all === true && (capability !== undefined || text !== undefined)) throw usageError('--all is all: name nothing beside it')
    const { dataDir, output } = contextOf(options)
    const query = new URLSearchParams({ ...(capability !== undefined && { capability }), ...(text !== undefined && { text }) })
    const client = await connectToNode(dataDir)
    const answer = await client.delete<{ forgotten: number }>(`/mesh/meaning/examples?${query.toString()}`)
    if (answer.forgotten === 0 && all !== true) throw await noneSuch(client, capability, text)
    await output.out(output.json ? `${JSON.stringify(answer)}\n` : `${answer.forgotten} forgotten\n`)
  })
}

/** What was named is mistyped, or was forgotten before. */
async function noneSuch(client: NodeClient, capability: string | undefined, text: string | undefined): Promise<MeshError> {
  const { examples } = await client.get<ReturnType<MeaningExamples['list']>>('/mesh/meaning/examples')
  const ids = new Set(examples.map((one) => one.capability))
  const isKnown = capability === undefined || ids.has(capability)
  const near = isKnown ? undefined : nearest(capability, ids)
  const hint = near === undefined ? 'see atmo examples' : `did you mean "${near}"?`
  const what = isKnown
    ? `no example${capability === undefined ? '' : ` of "${capability}"`} is "${text ?? ''}"`
    : `this node has no examples of "${capability}"`
  return new MeshError('invalid_argument', `${what}; ${hint}`, near === undefined ? {} : { near })
}
