/**
 * Writes a language model for llama.cpp from a few sentences: a table of which word follows which, in the form of a llama of one layer. It knows nothing:
 * it says words after each other as they stood in the sentences. What runs is llama.cpp all the same, with its tokenizer, its grammars and its sampling.
 *
 * The embedding of a word is one-hot, attention and feed-forward weights are zero, so that what comes out of the layer is what went in; the output matrix has
 * log P(next word | word). Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */

/** Numbers of an embedding: as many words, less one, may be known. */
const WIDTH = 128
const HEADS = 4
const FEED_FORWARD = 32
/** Longest conversation, in tokens. */
export const CONTEXT_TOKENS = 1_024
const ALIGNMENT = 32
const MEAN_POOLING = 1
/** What never stood after a word is almost never said. */
const UNSEEN = 1e-4
const END = '<|endoftext|>'

/** What a sentence is made of. */
interface Vocabulary {
  texts: string[]
  /** Row of the table, by token; 0 for what begins a sentence, and for all that is no word of the sentences. */
  rows: Map<number, number>
  /** How often a token came after that of a row. */
  follows: Map<number, Map<number, number>>
}

/**
 * The bytes of a model that says what stands in the sentences. @throws RangeError if they have too many words.
 * @param embeds asked for embeddings, it gives the mean of those of the words, not that of the last one.
 */
export function writeModel(sentences: readonly string[], { embeds = false } = {}): Buffer {
  const { texts, rows, follows } = readSentences(sentences)
  const size = texts.length
  const embedding = new Float32Array(size * WIDTH)
  const output = new Float32Array(size * WIDTH)
  for (let token = 0; token < size; token++) embedding[token * WIDTH + (rows.get(token) ?? 0)] = 1
  for (let row = 0; row < WIDTH; row++) {
    const counts = follows.get(row) ?? new Map<number, number>()
    const all = [...counts.values()].reduce((sum, count) => sum + count, 0)
    for (let token = 0; token < size; token++)
      output[token * WIDTH + row] = Math.log(((counts.get(token) ?? 0) + UNSEEN) / (all + size * UNSEEN))
  }
  const zeros = (...shape: number[]): Tensor => ({ shape, values: new Float32Array(shape.reduce((a, b) => a * b)) })
  const filled = (value: number): Tensor => ({ shape: [WIDTH], values: new Float32Array(WIDTH).fill(value) })
  return gguf(metadata(texts, embeds), {
    'token_embd.weight': { shape: [WIDTH, size], values: embedding },
    // The norm makes a one-hot vector sqrt(WIDTH) long.
    'output_norm.weight': filled(1 / Math.sqrt(WIDTH)),
    'output.weight': { shape: [WIDTH, size], values: output },
    'blk.0.attn_norm.weight': filled(1),
    'blk.0.attn_q.weight': zeros(WIDTH, WIDTH),
    'blk.0.attn_k.weight': zeros(WIDTH, WIDTH),
    'blk.0.attn_v.weight': zeros(WIDTH, WIDTH),
    'blk.0.attn_output.weight': zeros(WIDTH, WIDTH),
    'blk.0.ffn_norm.weight': filled(1),
    'blk.0.ffn_gate.weight': zeros(WIDTH, FEED_FORWARD),
    'blk.0.ffn_up.weight': zeros(WIDTH, FEED_FORWARD),
    'blk.0.ffn_down.weight': zeros(FEED_FORWARD, WIDTH)
  })
}

/** Tokens: the end, each byte (so that any text can be read), and the words with the space before them. */
function readSentences(sentences: readonly string[]): Vocabulary {
  const byte = (text: string): number => 1 + text.charCodeAt(0)
  const texts = [END, ...Array.from({ length: 256 }, (_, value) => `\\x${value.toString(16).padStart(2, '0')}`)]
  const rows = new Map<number, number>()
  const follows = new Map<number, Map<number, number>>()
  const known = new Map<string, number>()
  const tokenOf = (text: string): number => {
    // A text may stand in the list once only.
    const token = text.length === 1 ? byte(text) : (known.get(text) ?? texts.push(text) - 1)
    known.set(text, token)
    if (!rows.has(token)) rows.set(token, rows.size + 1)
    return token
  }
  const note = (row: number, token: number): void => {
    const counts = follows.get(row) ?? new Map<number, number>()
    follows.set(row, counts.set(token, (counts.get(token) ?? 0) + 1))
  }
  for (const sentence of sentences) {
    let row = 0
    for (const text of sentence.match(/ ?[A-Za-z]+|[.,]/g) ?? []) {
      const token = tokenOf(text)
      note(row, token)
      row = rows.get(token)!
    }
    // It ends, or the string does that it stands in.
    note(row, 0)
    note(row, byte('"'))
  }
  if (rows.size >= WIDTH) throw new RangeError(`these sentences have ${rows.size} words; ${WIDTH - 1} are possible`)
  return { texts, rows, follows }
}

interface Tensor {
  /** Fastest first. */
  shape: number[]
  values: Float32Array
}

function metadata(texts: string[], embeds: boolean): Buffer[] {
  const string = (key: string, value: string): Buffer => Buffer.concat([text(key), u32(8), text(value)])
  const number = (key: string, value: number): Buffer => Buffer.concat([text(key), u32(4), u32(value)])
  const list = (key: string, kind: number, values: Buffer[]): Buffer =>
    Buffer.concat([text(key), u32(9), u32(kind), u64(values.length), ...values])
  const float = Buffer.alloc(4)
  float.writeFloatLE(1e-9)
  return [
    string('general.architecture', 'llama'),
    string('general.name', 'which word follows which'),
    number('llama.vocab_size', texts.length),
    number('llama.context_length', CONTEXT_TOKENS),
    number('llama.embedding_length', WIDTH),
    number('llama.block_count', 1),
    number('llama.feed_forward_length', FEED_FORWARD),
    number('llama.attention.head_count', HEADS),
    number('llama.attention.head_count_kv', HEADS),
    number('llama.rope.dimension_count', WIDTH / HEADS),
    ...(embeds ? [number('llama.pooling_type', MEAN_POOLING)] : []),
    Buffer.concat([text('llama.attention.layer_norm_rms_epsilon'), u32(6), float]),
    // The longest text that fits is a token: no merges to be learnt.
    string('tokenizer.ggml.model', 'rwkv'),
    list('tokenizer.ggml.tokens', 8, texts.map(text)),
    // The first one is a control token, the others are text.
    list(
      'tokenizer.ggml.token_type',
      5,
      texts.map((_, token) => u32(token === 0 ? 3 : 1))
    ),
    number('tokenizer.ggml.bos_token_id', 0),
    number('tokenizer.ggml.eos_token_id', 0)
  ]
}

function gguf(entries: Buffer[], tensors: Record<string, Tensor>): Buffer {
  const padded = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
  let offset = 0
  const infos = Object.entries(tensors).map(([name, { shape, values }]) => {
    const info = Buffer.concat([text(name), u32(shape.length), ...shape.map(u64), u32(0), u64(offset)])
    offset += padded(values.byteLength)
    return info
  })
  const head = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(infos.length), u64(entries.length), ...entries, ...infos])
  const file = Buffer.alloc(padded(head.length) + offset)
  head.copy(file)
  let at = padded(head.length)
  for (const { values } of Object.values(tensors)) {
    Buffer.from(values.buffer).copy(file, at)
    at += padded(values.byteLength)
  }
  return file
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([u64(bytes.length), bytes])
}
