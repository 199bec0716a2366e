/** The OpenAPI document as a page that needs no script and loads nothing. */
import type { JsonObject, JsonValue } from '../../../protocols/json.ts'
import { PAGE_STYLE } from './page-style.ts'
import { escape, typeOf } from './page-types.ts'

/** What the page reads of the document. */
interface Parts {
  info: { title: string; version: string; description: string }
  tags: { name: string; description: string }[]
  paths: Record<string, Record<string, Omit<Described, 'method' | 'path'>>>
  components: { schemas: Record<string, JsonObject> }
}

interface Described {
  method: string
  path: string
  operationId: string
  tags: string[]
  summary: string
  description?: string
  security?: JsonObject[]
  parameters: Parameter[]
  requestBody?: { content: Bodies }
  responses: Record<string, Answered>
}

interface Parameter {
  name: string
  in: string
  required?: boolean
  description?: string
  schema: JsonObject
}

interface Answered {
  description: string
  content?: Bodies
}

type Bodies = Record<string, { schema: JsonObject; example?: JsonValue }>

/** @param document as `openApiDocument` makes it. @param origin of the server, for the examples: `http://127.0.0.1:7700`. */
export function renderPage(document: JsonObject, origin: string): string {
  const { info, tags, paths, components } = document as unknown as Parts
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Described => ({
      ...operation,
      method,
      path
    }))
  )
  const groups = tags.map((tag) => ({
    ...tag,
    operations: operations.filter((one) => one.tags.includes(tag.name))
  }))
  const schemas = Object.entries(components.schemas).sort(([a], [b]) => (a < b ? -1 : 1))
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(info.title)} API</title><style>${PAGE_STYLE}</style></head>
<body>
<nav aria-label="Contents"><ul>${groups.map(({ name }) => `<li><a href="#${name}">${LABELS[name] ?? name}</a></li>`).join('')}<li><a href="#schemas">schemas</a></li><li><a href="/openapi.json">openapi.json</a></li></ul></nav>
<main>
<h1>${escape(info.title)} API</h1><p class="dim">Version ${escape(info.version)}</p>
<p>${inline(info.description)}</p>
<pre>TOKEN=$(cat ~/.local/share/atmosphere/api-token)</pre>
${groups.map((group) => `<h2 id="${group.name}">${LABELS[group.name] ?? group.name}</h2><p class="dim">${inline(group.description)}</p>${group.operations.map((one) => operationOf(one, origin)).join('\n')}`).join('\n')}
<h2 id="schemas">Schemas</h2>
${schemas.map(([name, schema]) => schemaOf(name, schema)).join('\n')}
</main>
</body>
</html>
`
}

/** Names that are no words. */
const LABELS: Readonly<Record<string, string>> = { openai: 'OpenAI', mcp: 'MCP' }

/** Of the marks that texts of the document have, code alone. */
const inline = (value: string): string =>
  escape(value)
    .replace(/`([^`]+)`/g, '<code>$1</code>')
    .replace(/https:\/\/[a-z0-9./-]+[a-z0-9]/gi, (url) => `<a href="${url}" rel="noreferrer">${url}</a>`)

function operationOf(operation: Described, origin: string): string {
  const { method, path, operationId, summary, description, parameters, requestBody, responses } = operation
  const parts = [
    description === undefined ? '' : `<p>${inline(description)}</p>`,
    parametersOf(parameters),
    requestBody === undefined ? '' : bodyOf('Body', requestBody.content),
    `<h3>Example</h3><pre>${escape(curlOf(operation, origin))}</pre>`,
    ...Object.entries(responses).flatMap(([status, { description: says, content }]) =>
      isError(status, content) ? [] : [bodyOf(`Answer ${status}: ${says}`, content ?? {})]
    ),
    errorsOf(responses)
  ]
  return `<details id="${escape(operationId)}"><summary><code class="method ${method}">${method}</code> <code>${escape(path)}</code> <span class="what">${inline(summary)}</span></summary><div>${parts.join('')}</div></details>`
}

function parametersOf(parameters: Parameter[]): string {
  if (parameters.length === 0) return ''
  const rows = parameters.map(({ name, in: where, required, description = '', schema }) => {
    const need = required === true ? '' : ' <span class="dim">optional</span>'
    return `<tr><td><code>${escape(name)}</code><br><span class="dim">${escape(where)}</span></td><td>${typeOf(schema)}${need}<br>${inline(description)}</td></tr>`
  })
  return `<h3>Parameters</h3><table>${rows.join('')}</table>`
}

function bodyOf(title: string, content: Bodies): string {
  const kinds = Object.entries(content).map(
    ([type, { schema }]) => `<p class="dim"><code>${escape(type)}</code></p><pre>${typeOf(schema)}</pre>`
  )
  return `<h3>${inline(title)}</h3>${kinds.join('')}`
}

const isError = (status: string, content: Bodies | undefined): boolean =>
  status === 'default' ||
  (Number(status) >= 400 && JSON.stringify(content ?? '').match(/schemas\/(Error|OpenAiError|JsonRpc)"/) !== null)

function errorsOf(responses: Record<string, Answered>): string {
  const errors = Object.entries(responses).filter(([status, { content }]) => status !== 'default' && isError(status, content))
  if (errors.length === 0) return ''
  const rows = errors.map(
    ([status, { description }]) => `<tr><td><code>${status}</code></td><td>${inline(description)}</td></tr>`
  )
  return `<h3>Errors</h3><table>${rows.join('')}</table>`
}

/** A command that can be pasted: parameters of the path stand in capitals. */
function curlOf({ method, path, parameters, requestBody, security }: Described, origin: string): string {
  const needed = parameters.filter(({ in: where, required }) => where === 'query' && required === true)
  const query = needed.map(({ name }) => `${name}=${name.toUpperCase()}`).join('&')
  const address = `${origin}${path.replace(/\{(\w+)\}/g, (_, name: string) => name.toUpperCase())}${query && `?${query}`}`
  const body = requestBody?.content['application/json']
  return [
    'curl',
    ...(security === undefined ? ['-H "Authorization: Bearer $TOKEN"'] : []),
    ...(method === 'delete' ? ['-X DELETE'] : method === 'post' && body === undefined ? ['-X POST'] : []),
    ...(body === undefined ? [] : [`--json '${JSON.stringify(body.example ?? {})}'`]),
    query === '' ? address : `'${address}'`
  ].join(' ')
}

/** The anchor is within: a browser then opens it when a link leads there. */
function schemaOf(name: string, schema: JsonObject): string {
  const { description } = schema
  const says = typeof description === 'string' ? `<p>${inline(description)}</p>` : ''
  return `<details><summary><code>${escape(name)}</code></summary><div id="schema-${escape(name)}">${says}<pre>${typeOf(schema)}</pre></div></details>`
}
