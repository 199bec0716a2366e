/** Routes that programs know already: the API of OpenAI, and MCP. Their bodies are described where those are. */
import { json, answers, type Operation } from './operation.ts'
import { anything, list, number, object, exactly, oneOf, ref, text, type Schema } from './schema.ts'

const OPENAI = 'https://platform.openai.com/docs/api-reference'
const model = text('Id, own name or alias of a model, perhaps with `@node`; or `auto`.')
const open = (properties: Record<string, Schema>): Schema => ({ ...object(properties), additionalProperties: true })

/** A POST of a model: JSON in, and an answer of its own kind out. */
function ofModel(
  path: string,
  summary: string,
  input: Record<string, Schema>,
  { example, ...more }: { example?: Schema; content: Operation['answers'][number]['content']; description?: string }
): Operation {
  const { description, content } = more
  return {
    method: 'post',
    path: `/v1/${path}`,
    tag: 'openai',
    summary,
    description: `${description === undefined ? '' : `${description} `}${OPENAI}/${path.split('/')[0]}`,
    body: json(open({ 'model?': model, ...input }), example),
    answers: { 200: { description: 'As OpenAI answers.', ...(content !== undefined && { content }) } },
    errors: [400, 404, 413, 429, 500, 502, 503, 504]
  }
}

const streamed = { ...json(open({})), 'text/event-stream': { schema: text('Chunks, and `[DONE]`.') } }

const stored = (method: Operation['method'], summary: string, found: Operation['answers']): Operation => ({
  ...{ method, path: '/v1/responses/{id}', tag: 'openai', summary, description: `${OPENAI}/responses` },
  parameters: { id: 'As the response says. It is remembered for an hour.' },
  answers: found,
  errors: [404]
})

const mcp = (method: Operation['method'], summary: string, more: Partial<Operation> = {}): Operation => ({
  method,
  path: '/mcp',
  tag: 'mcp',
  summary,
  description: 'Streamable HTTP, revision 2026-07-28 and those before: https://modelcontextprotocol.io/specification',
  query: {
    tools: oneOf(['auto', 'all'], '`all`: each tool is listed, however many there are.'),
    timeoutMs: number('Time that each call is given.')
  },
  answers: {
    200: { description: 'As MCP answers.', content: { ...json(ref('JsonRpc')), 'text/event-stream': { schema: text() } } }
  },
  errors: [400, 404, 413],
  ...more
})

/** See {@link Operation}. */
export const CLIENT_OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    path: '/v1/models',
    tag: 'openai',
    summary: 'Models of the mesh that can be called now',
    description: `${OPENAI}/models`,
    answers: answers(object({ object: exactly('list'), data: list(ref('OpenAiModel')) }))
  },
  {
    method: 'get',
    path: '/v1/models/{model}',
    tag: 'openai',
    summary: 'A model',
    description: `${OPENAI}/models`,
    parameters: { model: 'As in the list. It may hold slashes.' },
    answers: answers(ref('OpenAiModel')),
    errors: [404]
  },
  ofModel(
    'chat/completions',
    'Chat, streamed or not, with tools',
    { messages: list(anything()) },
    { content: streamed, example: { model: 'auto', messages: [{ role: 'user', content: 'Hello' }] } }
  ),
  ofModel(
    'responses',
    'An answer, and what was said before it',
    { input: anything() },
    { content: streamed, example: { model: 'auto', input: 'Hello' } }
  ),
  stored('get', 'A response that this node remembers', answers(open({ id: text(), object: exactly('response') }))),
  stored('delete', 'Forget a response', answers(object({ id: text(), object: exactly('response'), deleted: { const: true } }))),
  ofModel(
    'completions',
    'Complete a text',
    { prompt: anything() },
    { content: streamed, example: { model: 'auto', prompt: 'Once upon a time' } }
  ),
  ofModel(
    'embeddings',
    'Vectors of texts',
    { input: anything() },
    { content: json(open({})), example: { model: 'auto', input: 'Hello' } }
  ),
  ofModel(
    'audio/speech',
    'Say a text',
    { input: text() },
    { content: { 'audio/*': { schema: text() } }, example: { model: 'auto', input: 'Hello' } }
  ),
  {
    ...ofModel('audio/transcriptions', 'Write down what is said', {}, { content: json(open({ text: text() })) }),
    body: { 'multipart/form-data': { schema: open({ 'model?': model, file: text('The sound.') }) } }
  },
  ofModel(
    'images/generations',
    'Make an image',
    { prompt: text() },
    { content: json(open({})), example: { model: 'auto', prompt: 'A red bicycle' } }
  ),
  mcp('post', 'A message of a client', { body: json(ref('JsonRpc')) }),
  mcp('get', 'What the server says by itself, to a session of an older revision'),
  mcp('delete', 'End such a session')
]
