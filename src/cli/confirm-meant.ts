/** A person says that what was understood is what was meant: from then on it is an example. */
import { createInterface } from 'node:readline/promises'
import { MeshError } from '../errors.ts'
import type { MeaningExample, MeaningExamples } from '../mesh-api.ts'
import type { NodeClient } from './client.ts'
import { meantText } from './meant-text.ts'

const PATH = '/mesh/meaning/examples'
const NO = /^\s*no?\s*$/i

/** From now on the text is an example of the capability. */
export function confirmMeant(client: NodeClient, text: string, capability: string): Promise<MeaningExample> {
  return client.post(PATH, { text: meantText(text), capability })
}

/** How a command that has understood words confirms it. */
export interface Confirming {
  /** After it has gone well. */
  done(text: string, capability: string): Promise<void>
}

/**
 * Says at once whether there will be something to confirm; a question is asked only of a person at a terminal, and only where the node learns.
 * @param flag `--confirm`: yes, without a question. @throws MeshError `unsupported` if that is said to a node that does not learn, before anything is done.
 */
export async function confirming(client: NodeClient, flag: boolean, isQuiet: boolean): Promise<Confirming> {
  const canAsk = !isQuiet && process.stdin.isTTY === true && process.stderr.isTTY === true
  if (!flag && !canAsk) return { done: async () => undefined }
  const { learns } = await client.get<ReturnType<MeaningExamples['list']>>(PATH)
  if (flag && !learns)
    throw new MeshError('unsupported', 'this node learns no examples; it does with meaning: { learn: true } in its configuration')
  return {
    async done(text, capability) {
      if (flag || (learns && (await isMeant()))) await confirmMeant(client, text, capability)
    }
  }
}

async function isMeant(): Promise<boolean> {
  const reader = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await new Promise<boolean>((resolve) => {
      // At the end of what is typed nothing was said.
      reader.once('close', () => resolve(false))
      reader.question('Was that what you meant? [Y/n] ').then(
        (answer) => resolve(!NO.test(answer)),
        () => resolve(false)
      )
    })
  } finally {
    reader.close()
  }
}
