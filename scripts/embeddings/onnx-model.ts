/**
 * Writes a model for `@huggingface/transformers` from a table of words and their vectors: a tokenizer that knows these words, and a graph that looks them up. The vector
 * of a text is the mean of those of its words. Formats: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, https://github.com/huggingface/tokenizers
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import protobuf from 'protobufjs'
import type { WordVectors } from './lsa.ts'

const SPECIAL = ['[PAD]', '[UNK]']
const MAX_TOKENS = 128
const [FLOAT, INT64] = [1, 7]
const [IR_VERSION, OPSET] = [8, 13]

/** As much of the format as is needed. */
const PROTO = `
syntax = "proto3";
message Model { int64 ir_version = 1; string producer_name = 2; Graph graph = 7; repeated OperatorSet opset_import = 8; }
message OperatorSet { string domain = 1; int64 version = 2; }
message Graph { repeated Node node = 1; string name = 2; repeated Tensor initializer = 5; repeated Value input = 11; repeated Value output = 12; }
message Node { repeated string input = 1; repeated string output = 2; string name = 3; string op_type = 4; }
message Tensor { repeated int64 dims = 1; int32 data_type = 2; string name = 8; bytes raw_data = 9; }
message Value { string name = 1; Type type = 2; }
message Type { TensorType tensor_type = 1; }
message TensorType { int32 elem_type = 1; Shape shape = 2; }
message Shape { repeated Dimension dim = 1; }
message Dimension { oneof value { int64 dim_value = 1; string dim_param = 2; } }
`

/** Writes the files of the model into a folder, which is made. */
export function writeOnnxModel(folder: string, words: WordVectors): void {
  mkdirSync(join(folder, 'onnx'), { recursive: true })
  const put = (name: string, content: unknown): void => writeFileSync(join(folder, name), JSON.stringify(content))
  const vocabulary = [...SPECIAL, ...words.words]
  put('config.json', {
    ...{ architectures: ['BertModel'], model_type: 'bert', hidden_size: words.width, vocab_size: vocabulary.length },
    ...{ num_hidden_layers: 1, num_attention_heads: 1, max_position_embeddings: MAX_TOKENS, pad_token_id: 0 }
  })
  put('tokenizer_config.json', {
    ...{ tokenizer_class: 'PreTrainedTokenizerFast', model_max_length: MAX_TOKENS },
    ...{ pad_token: SPECIAL[0], unk_token: SPECIAL[1] }
  })
  put('tokenizer.json', {
    version: '1.0',
    ...{ truncation: null, padding: null, post_processor: null, decoder: null },
    added_tokens: SPECIAL.map((content, id) => ({
      ...{ id, content, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false }
    })),
    normalizer: { type: 'Lowercase' },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    model: { type: 'WordLevel', vocab: Object.fromEntries(vocabulary.map((word, id) => [word, id])), unk_token: SPECIAL[1] }
  })
  writeFileSync(join(folder, 'onnx/model.onnx'), onnx(words, vocabulary.length))
}

/** last_hidden_state = table[input_ids]; the mask is an input that only the pooling after it reads. */
function onnx({ width, vectors }: WordVectors, rows: number): Uint8Array {
  const table = new Float32Array(rows * width)
  table.set(vectors, SPECIAL.length * width)
  const value = (name: string, elemType: number, ...dims: (string | number)[]) => ({
    name,
    type: {
      tensorType: {
        elemType,
        shape: { dim: dims.map((dim) => (typeof dim === 'number' ? { dimValue: dim } : { dimParam: dim })) }
      }
    }
  })
  const graph = {
    name: 'words',
    node: [{ name: 'lookup', opType: 'Gather', input: ['table', 'input_ids'], output: ['last_hidden_state'] }],
    initializer: [{ name: 'table', dims: [rows, width], dataType: FLOAT, rawData: new Uint8Array(table.buffer) }],
    input: [value('input_ids', INT64, 'batch', 'tokens'), value('attention_mask', INT64, 'batch', 'tokens')],
    output: [value('last_hidden_state', FLOAT, 'batch', 'tokens', width)]
  }
  const model = protobuf.parse(PROTO).root.lookupType('Model')
  const opsetImport = [{ domain: '', version: OPSET }]
  return model.encode(model.fromObject({ irVersion: IR_VERSION, producerName: 'atmosphere', graph, opsetImport })).finish()
}
