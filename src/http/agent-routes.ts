import { Hono } from 'hono'
import type { Agents } from '../agents/agents.ts'
import type { AgentState, AgentTaskSummary, AgentView } from '../agents/agent-views.ts'
import type { AgentTask } from '../agents/task.ts'
import { MeshError } from '../errors.ts'
import type { CapabilityView, Mesh } from '../mesh-api.ts'
import { readJsonObject, refuseUnknownKeys } from './json-body.ts'

const STATES = ['running', 'suspended', 'ended'] as const satisfies AgentState[]
const MAX_REASON = 200

/** An agent of another node. */
export type AgentElsewhere = Pick<CapabilityView, 'ref' | 'type' | 'name' | 'description' | 'node' | 'nodeName' | 'status'>

/** Answer of `GET /mesh/agents`. */
export interface AgentsAnswer {
  /** Of this node. */
  agents: AgentView[]
  elsewhere: AgentElsewhere[]
}

/** Answer of `GET /mesh/agents/ID`: the agent, and its last tasks. */
export interface AgentAnswer {
  agent: AgentView
  tasks: AgentTaskSummary[]
}

/** Answer of `GET /mesh/agents/ID/tasks/TASK`. */
export type AgentTaskAnswer = AgentTask

/** `/mesh/agents`: agents of this node and of others, their tasks, and their states. They are asked as any tool is called. */
export function agentRoutes({ mesh, agents }: { mesh: Mesh; agents: Agents | undefined }): Hono {
  const own = (): Agents => {
    if (agents === undefined) throw new MeshError('unsupported', 'this node has no agents of its own')
    return agents
  }
  const find = (id: string): AgentView => {
    // Throws what to say if there is none.
    own().tasks(id)
    return own()
      .list()
      .find((agent) => agent.id === id)!
  }
  return new Hono()
    .get('/agents', (context) =>
      context.json<AgentsAnswer>({ agents: agents?.list() ?? [], elsewhere: mesh.capabilities().flatMap(elsewhere) })
    )
    .get('/agents/:id', (context) => {
      const id = context.req.param('id')
      return context.json({ agent: find(id), tasks: own().tasks(id) })
    })
    .get('/agents/:id/tasks/:task', (context) => {
      const { id, task } = context.req.param()
      return Response.json(own().task(id, task))
    })
    .post('/agents/:id', async (context) => {
      const body = await readJsonObject(context.req.raw)
      refuseUnknownKeys('key', Object.keys(body), ['state', 'reason'])
      const state = STATES.find((known) => known === body['state'])
      if (state === undefined)
        throw new MeshError('invalid_argument', `state must be one of ${STATES.join(', ')}`, { key: 'state' })
      const { reason } = body
      if (reason !== undefined && (typeof reason !== 'string' || reason.length > MAX_REASON))
        throw new MeshError('invalid_argument', `reason must be a text of at most ${MAX_REASON} characters`, { key: 'reason' })
      return context.json(await own().setState(context.req.param('id'), state, reason))
    })
}

/** What handles events, or says that it is an agent, and can be asked. */
function elsewhere({
  local,
  ref,
  type,
  name,
  description,
  node,
  nodeName,
  status,
  tools,
  handles
}: CapabilityView): AgentElsewhere[] {
  const isAgent = handles !== undefined || type.startsWith('agent/')
  if (local || !isAgent || !tools.some((tool) => tool.name === 'ask')) return []
  return [{ ref, type, name, description, node, nodeName, status }]
}
