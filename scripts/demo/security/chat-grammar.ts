/**
 * What a model that knows nothing may answer in a conversation, as a grammar of llama.cpp (GBNF): well-formed calls of the tools that it is offered, each once,
 * with values that the conversation has; then one sentence. The form comes from here, the choice within it from the model.
 * https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
 */
import type { JsonObject, JsonValue } from '../../../src/core/invoke.ts'

/** A request for a chat completion, as far as it is looked at. */
export interface ChatBody {
  messages: { role: string; content?: JsonValue; tool_calls?: { function: { name: string } }[] }[]
  tools?: { function: { name: string; parameters?: JsonObject } }[]
  tool_choice?: JsonValue
  max_tokens?: number
  temperature?: number
  seed?: number
  stream?: boolean
  stream_options?: { include_usage?: boolean }
}

/** What may be answered. */
export interface ChatGrammar {
  gbnf: string
  /** Tools that may be called; empty: words are asked for. */
  names: string[]
}

/** Values of one key that may be chosen from, the last ones. */
const MAX_VALUES = 16
const SENTENCE = 'sentence ::= [A-Z] [A-Za-z ,]{8,160} "."'

/** @param last ends of the names of tools that are called after all others. @throws RangeError for a tool whose required input is of a kind that it cannot write. */
export function grammarOf(body: ChatBody, last: readonly string[] = []): ChatGrammar {
  const called = new Set(body.messages.flatMap(({ tool_calls: calls = [] }) => calls.map((call) => call.function.name)))
  const open = (body.tool_choice === 'none' ? [] : (body.tools ?? [])).filter((tool) => !called.has(tool.function.name))
  const isLast = (name: string): boolean => last.some((end) => name.endsWith(end))
  const first = open.filter((tool) => !isLast(tool.function.name))
  const tools = first.length > 0 ? first : open
  if (tools.length === 0) return { gbnf: `root ::= sentence\n${SENTENCE}`, names: [] }
  const texts = body.messages.flatMap(({ content }) => (typeof content === 'string' ? [content] : []))
  const calls = tools.map(({ function: { name, parameters = {} } }) => {
    const head = literal(`{"name":${JSON.stringify(name)},"arguments":{`)
    return [head, argumentsRule(parameters, (key) => valuesOf(key, texts)), literal('}}')].filter(Boolean).join(' ')
  })
  return { gbnf: `root ::= ${calls.join(' | ')}\n${SENTENCE}`, names: tools.map((tool) => tool.function.name) }
}

function argumentsRule(parameters: JsonObject, known: (key: string) => string[]): string {
  const required = Array.isArray(parameters['required']) ? parameters['required'] : []
  const properties = Object.entries((parameters['properties'] ?? {}) as Record<string, JsonObject>)
  const written = properties.flatMap(([key, schema]) => {
    const rule = valueRule(schema, known(key), required.includes(key))
    if (rule === undefined && required.includes(key))
      throw new RangeError(`this model cannot write "${key}": ${JSON.stringify(schema)}`)
    return rule === undefined ? [] : [{ key, rule }]
  })
  return written.map(({ key, rule }, at) => `${literal(`${at === 0 ? '' : ','}${JSON.stringify(key)}:`)} ${rule}`).join(' ')
}

/** Undefined: it is left out. */
function valueRule(schema: JsonObject, known: string[], isRequired: boolean): string | undefined {
  const oneOf = (values: JsonValue[]): string => `(${values.map((value) => literal(JSON.stringify(value))).join(' | ')})`
  if (schema['type'] === 'boolean') return oneOf([true, false])
  if (schema['type'] === 'string' && schema['enum'] === undefined && known.length > 0) return oneOf(known)
  if (!isRequired) return undefined
  if (Array.isArray(schema['enum'])) return oneOf(schema['enum'])
  return schema['type'] === 'string' ? `${literal('"')} sentence ${literal('"')}` : undefined
}

/** Texts that stand under this key in the JSON of the conversation. */
function valuesOf(key: string, texts: readonly string[]): string[] {
  const found = texts.flatMap((text) => [...text.matchAll(/"([A-Za-z_]{1,64})":"([A-Za-z0-9_.:-]{1,64})"/g)])
  return [...new Set(found.flatMap(([, name, value]) => (name === key ? [value!] : [])))].slice(-MAX_VALUES)
}

/** A literal of GBNF is written like a string of JSON. */
function literal(text: string): string {
  return JSON.stringify(text)
}
