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
  HandlesDeclaration,
  ToolDeclaration,
  TriggerDeclaration
} from '../protocols/capability.ts'
export type { Invoke, InvokeOptions, Item, JsonObject, JsonSchema, JsonValue, Progress, ToolRequest } from './core/invoke.ts'
export type {
  AcceptedDescriptor,
  Call,
  CallItem,
  CallOptions,
  CallResult,
  CapabilityQuery,
  CapabilityView,
  ChangedDescriptor,
  DeadLetterView,
  DescriptorChange,
  EventContext,
  EventFunction,
  FireOptions,
  FireView,
  Mesh,
  MeshEvent,
  MeshStatus,
  PeerView,
  ReceivedEvent,
  Registration,
  Route,
  ToolChange,
  ToolContext,
  ToolHandler
} from './mesh-api.ts'
export { VERSION } from './version.ts'
