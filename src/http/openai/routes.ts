/** The OpenAI API of a node: models of the whole mesh for programs that speak it. https://platform.openai.com/docs/api-reference */
import { Hono } from 'hono'
import type { ModelMesh } from './begin-call.ts'
import { chatRoutes } from './chat-routes.ts'
import { completionsRoutes } from './completions-routes.ts'
import { embeddingsRoutes } from './embeddings-routes.ts'
import { mediaRoutes } from './media-routes.ts'
import { modelsRoutes } from './models-routes.ts'
import type { OpenAiEnv } from './openai-errors.ts'
import { responsesRoutes } from './responses-routes.ts'

/** All of `/v1`. Errors get their shape from `openAiErrors`, which has to stand before the guards. */
export function openAiRoutes({ mesh }: { mesh: ModelMesh }): Hono<OpenAiEnv> {
  return new Hono<OpenAiEnv>()
    .route('/models', modelsRoutes({ mesh }))
    .route('/chat', chatRoutes({ mesh }))
    .route('/completions', completionsRoutes({ mesh }))
    .route('/embeddings', embeddingsRoutes({ mesh }))
    .route('/responses', responsesRoutes({ mesh }))
    .route('/', mediaRoutes({ mesh }))
}
