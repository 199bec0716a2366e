/** What the OpenAI API uses models for, and which capabilities can do it. */
import { matchGlob } from '../../../protocols/glob.ts'
import type { ToolDeclaration } from '../../../protocols/capability.ts'
import type { CHAT_TOOL, CHAT_TYPE } from '../../core/chat.ts'
import type { EMBED_TOOL, EMBED_TYPE } from '../../core/embed.ts'
import type { CapabilityView } from '../../mesh-api.ts'

/** A use of models. */
export interface ModelUse {
  /** Glob over the types of the capabilities that can. */
  readonly types: string
  /** Their type, if `auto` says no other. */
  readonly type: string
  readonly tool: string
  /** For people: models of this kind … */
  readonly what: string
}

const CHAT: { type: typeof CHAT_TYPE; tool: typeof CHAT_TOOL } = { type: 'llm/chat', tool: 'chat' }
const EMBED: { type: typeof EMBED_TYPE; tool: typeof EMBED_TOOL } = { type: 'llm/embed', tool: 'embed' }

/** All uses. */
export const MODEL_USES = {
  chat: { ...CHAT, types: 'llm/**', what: 'answers conversations' },
  embed: { ...EMBED, types: 'llm/**', what: 'turns texts into vectors' },
  speech: { type: 'audio/speech', tool: 'speak', types: 'audio/**', what: 'speaks' },
  transcription: { type: 'audio/transcription', tool: 'transcribe', types: 'audio/**', what: 'writes down speech' },
  image: { type: 'image/generation', tool: 'generate', types: 'image/**', what: 'makes images' }
} as const satisfies Record<string, ModelUse>

/** True if a capability is a model for this use, whatever its state. */
export function isFor({ types, tool }: ModelUse, capability: CapabilityView): boolean {
  return matchGlob(types, capability.type) && toolFor(capability, tool) !== undefined
}

/** What a capability is used for; undefined if it is no model. */
export function useOf(capability: CapabilityView): ModelUse | undefined {
  return Object.values<ModelUse>(MODEL_USES).find((use) => isFor(use, capability))
}

/** A tool of a capability. */
export function toolFor({ tools }: CapabilityView, name: string): ToolDeclaration | undefined {
  return tools.find((tool) => tool.name === name)
}

/** True if it says of itself that it can be called now. */
export function isCallable({ status }: CapabilityView): boolean {
  return status !== 'offline' && status !== 'suspended'
}

/** The name of the model behind a capability, as it declares it. */
export function modelOf({ metadata }: CapabilityView): string | undefined {
  const model = metadata?.['model']
  return typeof model === 'string' && model !== '' ? model : undefined
}

/** Other names that it declares. */
export function aliasesOf({ metadata }: CapabilityView): string[] {
  const aliases = metadata?.['aliases']
  return Array.isArray(aliases) ? aliases.filter((alias) => typeof alias === 'string') : []
}
