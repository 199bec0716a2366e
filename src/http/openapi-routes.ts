import { sha256 } from '@noble/hashes/sha2.js'
import { Hono } from 'hono'
import type { JsonObject } from '../../protocols/json.ts'
import { toBase64 } from './base64.ts'
import { openApiDocument } from './openapi/document.ts'
import { PAGE_STYLE } from './openapi/page-style.ts'
import { renderPage } from './openapi/page.ts'

/**
 * `GET /openapi.json` and `/docs`, the same as a page: without the token, since they say nothing of this node or its mesh, and a browser sends none. The page
 * runs no script, loads nothing, and can be in no frame.
 */
export function openApiRoutes(): Hono {
  let made: JsonObject | undefined
  /** Most nodes are never asked for it. */
  const document = (): JsonObject => (made ??= openApiDocument())
  const style = `'sha256-${toBase64(sha256(new TextEncoder().encode(PAGE_STYLE)))}'`
  const policy = `default-src 'none'; style-src ${style}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`
  return new Hono()
    .get('/openapi.json', (context) => context.json(document()))
    .get('/docs', ({ req, html }) =>
      html(renderPage(document(), new URL(req.url).origin), 200, {
        'content-security-policy': policy,
        'referrer-policy': 'no-referrer'
      })
    )
}
