/** Vectors of texts by a model in this process, with the package `@huggingface/transformers`, which nobody has to install who does not want this. */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { MeaningConfig } from './config-meaning.ts'
import type { Embedder } from './core/meaning/embedder.ts'
import { MeshError } from './errors.ts'
import type { MeaningComponents } from './mesh-components.ts'

/** As much of the package as is used: it is not installed with this one, so its types are not there. */
export interface TransformersModule {
  env: { allowRemoteModels: boolean; allowLocalModels: boolean; localModelPath: string; useFSCache: boolean }
  pipeline(task: 'feature-extraction', model: string, options: object): Promise<FeatureExtraction>
}
type FeatureExtraction = (
  texts: readonly string[],
  options: { pooling: 'mean'; normalize: boolean }
) => Promise<{ dims: readonly number[]; data: Float32Array }>

const PACKAGE = '@huggingface/transformers'
/** Files that hold the weights, the most exact first, and how the package calls them. */
const WEIGHTS = [
  ['model.onnx', 'fp32'],
  ['model_fp16.onnx', 'fp16'],
  ['model_quantized.onnx', 'q8'],
  ['model_int8.onnx', 'int8']
] as const

/** Files beside the weights that vectors depend on. */
const SETTINGS = ['config.json', 'tokenizer.json', 'tokenizer_config.json'] as const
/** Digits of the revision of a model, in hex. */
const REVISION_DIGITS = 12

/** What is needed for the vectors that a node is set up for, if it is. @throws MeshError `invalid_config`. */
export function meaningComponents({ embeddings, vectors = 'int8' }: MeaningConfig = {}): MeaningComponents | undefined {
  if (embeddings === undefined) return undefined
  if ('capability' in embeddings) return { embedder: embeddings, form: vectors }
  return { embedder: createTransformersEmbedder(embeddings.transformers.model), form: vectors }
}

/** The same with a full path. */
export function resolvedMeaning(meaning: MeaningConfig | undefined, baseDir: string): MeaningConfig | undefined {
  const { embeddings } = meaning ?? {}
  if (embeddings === undefined || 'capability' in embeddings) return meaning
  return { ...meaning, embeddings: { transformers: { model: resolve(baseDir, embeddings.transformers.model) } } }
}

/**
 * Loads the model with the first texts. Nothing is downloaded: what is not in the folder is missing. Its vectors are of `NAME@REVISION`: the name of the folder, and the
 * beginning of a SHA-256 over its weights, configuration and tokenizer.
 * @param folder of the model: `config.json`, `tokenizer.json`, `onnx/model.onnx`. @param load gives the package.
 * @throws MeshError `invalid_config` if there is no such folder.
 */
export function createTransformersEmbedder(
  folder: string,
  load: () => Promise<TransformersModule> = () => import(PACKAGE) as Promise<TransformersModule>
): Embedder {
  const path = resolve(folder)
  const weights = WEIGHTS.find(([file]) => existsSync(join(path, 'onnx', file)))
  if (weights === undefined)
    throw new MeshError('invalid_config', `${path} is no folder of a model: it has no onnx/${WEIGHTS[0][0]}`, { key: 'meaning' })
  const name = basename(path)
  let loaded: Promise<{ model: string; extract: FeatureExtraction }> | undefined

  async function begin(): Promise<{ model: string; extract: FeatureExtraction }> {
    const { env, pipeline } = await load().catch((cause: unknown) => {
      throw new MeshError('unavailable', `the package ${PACKAGE} cannot be loaded: npm install ${PACKAGE}`, {}, { cause })
    })
    Object.assign(env, { allowRemoteModels: false, allowLocalModels: true, localModelPath: dirname(path), useFSCache: false })
    // One thread: it shares the machine with a node.
    const session_options = { intraOpNumThreads: 1, interOpNumThreads: 1 }
    const options = { dtype: weights![1], device: 'cpu', local_files_only: true, session_options }
    try {
      const extract = await pipeline('feature-extraction', name, options)
      const files = [join('onnx', weights![0]), join('onnx', `${weights![0]}_data`), ...SETTINGS].map((file) => join(path, file))
      return { model: `${name}@${await revisionOf(files.filter((file) => existsSync(file)))}`, extract }
    } catch (cause) {
      throw new MeshError('unavailable', `the model ${name} cannot be loaded: ${firstLine(cause)}`, {}, { cause })
    }
  }

  return {
    name: `transformers ${name}`,
    async embed(texts, { signal }) {
      signal.throwIfAborted()
      loaded ??= begin()
      // What is missing may be there when it is tried again.
      loaded.catch(() => (loaded = undefined))
      const { model, extract } = await loaded
      const { dims, data } = await extract(texts, { pooling: 'mean', normalize: false })
      const width = dims.at(-1) ?? 0
      return Array.from(texts, (_, n) => ({ model, values: data.slice(n * width, (n + 1) * width) }))
    }
  }
}

/** Two folders of one name need not hold one model: the beginning of a digest of the files that make the vectors. */
async function revisionOf(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const file of files) for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
  return hash.digest('hex').slice(0, REVISION_DIGITS)
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? ''
}
