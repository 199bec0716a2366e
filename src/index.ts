/** Atmosphere for Node: `createNode()` starts a node, its `Mesh` does the rest. */
export { createNode } from './node.ts'
export type { NodeOptions } from './node.ts'
export * from './public.ts'
