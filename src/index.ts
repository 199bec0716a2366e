/** Atmosphere for Node: `createNode()` starts a node, its `Mesh` does the rest; `joinMesh()` and its like prepare a data directory for it. */
export { createNode } from './node.ts'
export type { NodeOptions } from './node.ts'
export { initMesh, joinMesh, leaveMesh } from './node-join.ts'
export type { HandOver, MeshSummary, ObtainedMesh } from './node-enter.ts'
export { openAgentStore } from './data-dir-agents.ts'
export * from './public.ts'
