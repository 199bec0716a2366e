/** What both entries, Node and browser, export. */
export { ERROR_CODES, MeshError, isMeshError } from './errors.ts'
export type { ErrorCode, ErrorDetails } from './errors.ts'
export { createFunctionBackend } from './backends/function.ts'
export type { FunctionBackend } from './backends/function.ts'
export { createAgents } from './agents/agents.ts'
export type { Agents } from './agents/agents.ts'
export { createPassingStore } from './agents/agent-store.ts'
export type { AgentStore } from './agents/agent-store.ts'
export { createDeclaredAgent } from './agents/declared-agent.ts'
export type { DeclaredAgent } from './agents/agent-config.ts'
export { defineAgent } from './agents/definition.ts'
export type { AgentDefinition, AgentTool, CodeAgent } from './agents/definition.ts'
export type { AgentContext } from './agents/agent-context.ts'
export type { AgentLimits } from './agents/budget.ts'
export type { AgentMemory } from './agents/memory.ts'
export type { EventPort, HandleOptions, Intent } from './agents/intent.ts'
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
  AwayHandlerView,
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
  MeaningBy,
  MeaningExample,
  MeaningExamples,
  MeantView,
  Mesh,
  MeshEvent,
  MeshStatus,
  ObservedEvent,
  ObservedNodeView,
  ObserverFunction,
  PeerView,
  ReceivedEvent,
  Registration,
  Route,
  Subscription,
  SubscriptionOptions,
  ToolChange,
  ToolContext,
  ToolHandler,
  Understanding,
  UnderstandOptions,
  WaitingEventView
} from './mesh-api.ts'
export { VERSION } from './version.ts'
