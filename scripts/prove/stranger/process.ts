/** A host of the proof as a process: the stranger, or somebody on the victim's own host. Driven by JSON lines on stdin, answers in JSON lines. */
import { request as httpRequest } from 'node:http'
import { createInterface } from 'node:readline'
import { runStranger, type StrangerOptions } from './attack.ts'
import { CREDENTIALS, apiRoutes } from './routes.ts'

/** An answer of an HTTP server; status 0 if there was none. */
interface Answer {
  status: number
  head: string
  body: string
}

/** What came of asking every route of an API without its token. */
export interface ApiFindings {
  attempts: number
  /** Times by status; 0: not reachable. */
  statuses: Record<string, number>
  /** Everything that was read, each different one once. */
  bodies: string[]
}

const TIMEOUT_MS = 10_000

/** Not `fetch`: that one writes the Host header by itself, and keeps sockets open. */
function http(url: string, { method = 'GET', headers = {}, body = '' } = {}): Promise<Answer> {
  return new Promise((resolve) => {
    const none = (): void => resolve({ status: 0, head: '', body: '' })
    const request = httpRequest(url, { method, headers, timeout: TIMEOUT_MS, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.once('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          head: JSON.stringify(response.headers),
          body: Buffer.concat(chunks).toString()
        })
      )
      response.once('error', none)
    })
    request.once('timeout', () => request.destroy())
    request.once('error', none)
    request.end(body)
  })
}

const verbs: Record<string, (options: never) => Promise<unknown>> = {
  stranger: (options: StrangerOptions) => runStranger(options),
  async routes({ api }: { api: string }): Promise<ApiFindings> {
    const findings: ApiFindings = { attempts: 0, statuses: {}, bodies: [] }
    const bodies = new Set<string>()
    for (const { method, path } of apiRoutes())
      for (const headers of CREDENTIALS) {
        const json = method === 'POST' ? { 'content-type': 'application/json' } : {}
        const { status, head, body } = await http(`${api}${path}`, {
          method,
          headers: { ...json, ...headers },
          body: method === 'POST' ? '{}' : ''
        })
        findings.attempts++
        findings.statuses[status] = (findings.statuses[status] ?? 0) + 1
        // The date of an answer is no news.
        bodies.add((head + body).replace(/"date":"[^"]*"/, ''))
      }
    findings.bodies = [...bodies]
    return findings
  },
  async http({
    url,
    token,
    method = 'GET',
    body
  }: {
    url: string
    token: string
    method?: string
    body?: unknown
  }): Promise<unknown> {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const { status, body: text } = await http(url, { method, headers, body: body === undefined ? '' : JSON.stringify(body) })
    const answer = JSON.parse(text || 'null') as unknown
    if (status < 200 || status > 299) throw new Error(`${method} ${url}: ${status} ${text}`)
    return answer
  }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const { n, do: verb, ...options } = JSON.parse(line) as { n: number; do: string }
  const run = verbs[verb] ?? (() => Promise.reject(new Error(`no verb ${verb}`)))
  run(options as never).then(
    (value) => console.log(JSON.stringify({ event: 'answer', n, value })),
    (error: Error) => console.log(JSON.stringify({ event: 'answer', n, error: error.stack ?? error.message }))
  )
})
console.log(JSON.stringify({ event: 'hello' }))
