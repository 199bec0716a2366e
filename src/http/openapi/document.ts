/** The OpenAPI document of the local API: https://spec.openapis.org/oas/v3.1.1 */
import type { JsonObject } from '../../../protocols/json.ts'
import { VERSION } from '../../version.ts'
import { EVENT_SCHEMAS } from './event-schemas.ts'
import { HEALTH_SCHEMAS } from './health-schemas.ts'
import { MEMBER_SCHEMAS } from './member-schemas.ts'
import { MESH_SCHEMAS } from './mesh-schemas.ts'
import { TAGS, type Content, type Operation } from './operation.ts'
import { OPERATIONS } from './operations.ts'
import { ROUTE_SCHEMAS } from './route-schemas.ts'
import { ref, type Schema } from './schema.ts'

/** All schemas that have a name. */
export const SCHEMAS: Readonly<Record<string, Schema>> = {
  ...MESH_SCHEMAS,
  ...ROUTE_SCHEMAS,
  ...HEALTH_SCHEMAS,
  ...EVENT_SCHEMAS,
  ...MEMBER_SCHEMAS
}

const DESCRIPTION = [
  'What a node of the mesh answers on its own machine: the `atmo` command, programs and web pages use it.',
  'All but what says otherwise needs the token of the node, `api-token` in its data directory, as `Authorization: Bearer TOKEN`.',
  'Query parameters and keys of bodies that a route does not know are refused (400), and so are requests under a foreign host name or from a foreign web page (403).',
  'Every error has the same shape, `{"error":{"code","message","details"}}`; those of `/v1` and `/mcp` have that of their clients.'
].join(' ')

/** What errors of a status mean. */
const STATUSES: Readonly<Record<number, string>> = {
  400: 'The request is wrong; `details.key` says where.',
  401: 'The token is missing or wrong.',
  403: 'Not allowed: by who asks, by a policy, or by the name of the host.',
  404: 'There is no such thing.',
  409: 'It does not fit what is there, or the name fits several.',
  413: 'The body, or what the tool yields, is too large.',
  415: 'The body has another content type.',
  429: 'Too much at once; it may go well later.',
  500: 'The tool has failed, or the node has a fault.',
  501: 'This node cannot do that.',
  502: 'The other node broke the contract.',
  503: 'Who should do it cannot be reached, or has no room.',
  504: 'The time given is over.'
}

const ERROR_SCHEMAS: Partial<Record<Operation['tag'], string>> = { openai: 'OpenAiError', mcp: 'JsonRpc' }

/** Builds the document. */
export function openApiDocument(): JsonObject {
  const paths: Record<string, Record<string, JsonObject>> = {}
  for (const operation of OPERATIONS) (paths[operation.path] ??= {})[operation.method] = operationObject(operation)
  return {
    openapi: '3.1.1',
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    info: {
      title: 'Atmosphere',
      version: VERSION,
      description: DESCRIPTION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' }
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: { ...SCHEMAS },
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: '`api-token` in the data directory of the node.' }
      }
    }
  }
}

/** Unique, and stays as long as the route does: `getMeshApprovalsById`. */
export function operationId({ method, path }: Pick<Operation, 'method' | 'path'>): string {
  const words = path.split(/[/.-]/).filter((part) => part !== '')
  return method + words.map((word) => (word.startsWith('{') ? `By${capital(word.slice(1, -1))}` : capital(word))).join('')
}

const capital = (word: string): string => `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`

function operationObject(operation: Operation): JsonObject {
  const { tag, summary, description, body, mayBeEmpty, access } = operation
  return {
    operationId: operationId(operation),
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    ...(access !== undefined && { security: [] }),
    parameters: parametersOf(operation),
    ...(body !== undefined && { requestBody: { required: mayBeEmpty !== true, content: contentOf(body) } }),
    responses: { ...answersOf(operation), ...errorsOf(operation) }
  }
}

function parametersOf({ path, parameters = {}, query = {}, required = [], headers = {} }: Operation): JsonObject[] {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!)
  return [
    ...names.map((name) => ({
      name,
      in: 'path',
      required: true,
      description: parameters[name] ?? '',
      schema: { type: 'string' }
    })),
    ...Object.entries(query).map(([name, { description, ...schema }]) => ({
      name,
      in: 'query',
      required: required.includes(name),
      ...(description !== undefined && { description }),
      schema
    })),
    ...Object.entries(headers).map(([name, description]) => ({ name, in: 'header', description, schema: { type: 'string' } }))
  ]
}

function answersOf({ answers }: Operation): JsonObject {
  return Object.fromEntries(
    Object.entries(answers).map(([status, { description, content }]) => [
      status,
      { description, ...(content !== undefined && { content: contentOf(content) }) }
    ])
  )
}

function errorsOf({ tag, body, access, errors = [], answers }: Operation): JsonObject {
  const ofAll = access === 'open' ? [403] : [401, 403]
  const ofBody = body?.['application/json'] === undefined ? [] : [400, 413, 415]
  const statuses = [...new Set([...errors, ...ofAll, ...ofBody])].filter((status) => answers[status] === undefined).sort()
  const content = contentOf({ 'application/json': { schema: ref(ERROR_SCHEMAS[tag] ?? 'Error') } })
  return {
    ...Object.fromEntries(statuses.map((status) => [status, { description: STATUSES[status]!, content }])),
    default: { description: 'Any other error.', content }
  }
}

function contentOf(content: Content): JsonObject {
  return Object.fromEntries(
    Object.entries(content).map(([type, { schema, example }]) => [type, { schema, ...(example !== undefined && { example }) }])
  )
}
