/** What both entries, Node and browser, export. */
export { ERROR_CODES, MeshError, isMeshError } from './errors.ts'
export type { ErrorCode, ErrorDetails } from './errors.ts'
export { createFunctionBackend } from './backends/function.ts'
export type { FunctionBackend } from './backends/function.ts'
export type { Backend, TriggerEvent } from './backends/backend.ts'
export type {
  CachePolicy,
  CapabilityDeclaration,
  CapabilityStatus,
  ToolDeclaration,
  TriggerDeclaration
} from '../protocols/capability.ts'
export type { Invoke, InvokeOptions, Item, JsonObject, JsonSchema, JsonValue, Progress, ToolRequest } from './core/invoke.ts'
export type {
  Call,
  CallItem,
  CallOptions,
  CallResult,
  CapabilityQuery,
  CapabilityView,
  Mesh,
  MeshEvent,
  MeshStatus,
  PeerView,
  Registration,
  Route,
  ToolContext,
  ToolHandler
} from './mesh-api.ts'
export { VERSION } from './version.ts'
