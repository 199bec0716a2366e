import type { ChatMessage } from '../core/chat.ts'

/** Longest transcript of one intent, in characters: what a model can read, and a disk keep at each step. */
export const MAX_TRANSCRIPT_CHARACTERS = 256 * 1024
/** Longest arguments of a call that are kept, in characters. */
export const MAX_ARGUMENT_CHARACTERS = 16_384
/** Stands for what had to go. */
export const LEFT_OUT = '(left out: the conversation has become too long)'

/** How long a conversation is, in characters. */
export function lengthOf(messages: readonly ChatMessage[]): number {
  return messages.reduce((sum, message) => sum + lengthOfMessage(message), 0)
}

/**
 * Adds a message, and makes room: of the oldest results of tools, then of what the model has said, only a mark is left. What begins the
 * conversation, and what was added, stay. Calls keep their results: a server refuses one without.
 */
export function addMessage(messages: ChatMessage[], message: ChatMessage, most = MAX_TRANSCRIPT_CHARACTERS): void {
  messages.push(message)
  let over = lengthOf(messages) - most
  for (const role of ['tool', 'assistant'] as const) {
    for (let at = 2; at < messages.length - 1 && over > 0; at++) {
      const old = messages[at]!
      if (old.role !== role) continue
      const short = shortened(old)
      over -= lengthOfMessage(old) - lengthOfMessage(short)
      messages[at] = short
    }
  }
}

function shortened(message: ChatMessage): ChatMessage {
  const content = (message.content ?? '').length > LEFT_OUT.length ? LEFT_OUT : message.content
  if (message.role !== 'assistant') return { ...message, content: content ?? '' }
  const calls = message.tool_calls?.map((call) => ({ ...call, function: { ...call.function, arguments: '{}' } }))
  return { ...message, content, ...(calls !== undefined && { tool_calls: calls }) }
}

function lengthOfMessage(message: ChatMessage): number {
  const calls = message.role === 'assistant' ? (message.tool_calls ?? []) : []
  return calls.reduce(
    (sum, { id, function: { name, arguments: given } }) => sum + id.length + name.length + given.length,
    (message.content ?? '').length
  )
}
