/** What a route of the local API is, as data: the document, the page, and the check of query parameters are made of it. */
import type { Schema } from './schema.ts'

/** Groups of the document, in its order. */
export const TAGS = {
  mesh: 'What this node knows of the mesh: itself, other nodes, what they offer, and the ways to them.',
  calls: 'Tools of the mesh.',
  events: 'What capabilities raise, what waits, and what happens now.',
  members: 'Who is in the mesh, who may enter, and what waits for a yes.',
  treaties: 'Treaties with other meshes.',
  agents: 'Agents of this node and of others.',
  node: 'The node itself: whether it is well, and when it stops.',
  openai: 'The API of OpenAI with the models of the mesh. Errors have its shape: `{"error":{"message","type","param","code"}}`.',
  mcp: 'The tools of the mesh for MCP clients. Errors are those of JSON-RPC.'
} as const satisfies Record<string, string>

/** A body, of a request or an answer: by media type. */
export type Content = Record<string, { schema: Schema; example?: Schema[string] }>

/** An answer that is no error. */
export interface Answer {
  description: string
  /** Default: it has no body. */
  content?: Content
}

/** A route. */
export interface Operation {
  method: 'get' | 'post' | 'delete'
  /** `/mesh/approvals/{id}`. */
  path: string
  tag: keyof typeof TAGS
  /** A few words. */
  summary: string
  description?: string
  /** What the names in the path are. */
  parameters?: Record<string, string>
  /** Query parameters by name; all may be left out but those in `required`. */
  query?: Record<string, Schema>
  required?: readonly string[]
  /** Headers that mean something here, beside those of every request. */
  headers?: Record<string, string>
  /** Of the request. */
  body?: Content
  /** The request may have none. */
  mayBeEmpty?: true
  answers: Record<number, Answer>
  /** Statuses of errors beside those that every route may answer. */
  errors?: readonly number[]
  /** What is needed to use it. Default: the token. `hook`: a secret of its own. */
  access?: 'open' | 'hook'
}

/** A JSON body. */
export const json = (schema: Schema, example?: Schema[string]): Content => ({
  'application/json': { schema, ...(example !== undefined && { example }) }
})

/** The answer of a request that went well. */
export const answers = (schema: Schema, description: string = 'Done.', status: number = 200): Record<number, Answer> => ({
  [status]: { description, content: json(schema) }
})
