import type { ChatMessage } from '../core/chat.ts'

/**
 * Longest transcript of one intent, in characters: what a model can read, and a disk keep at each step. It holds instructions, what is asked, one answer
 * and one result, each as long as it may be, and marks for the other results of that answer.
 */
export const MAX_TRANSCRIPT_CHARACTERS = 256 * 1024
/** Longest text of one answer that is kept, in characters. */
export const MAX_ANSWER_CHARACTERS = 32 * 1024
/** Longest arguments of a call that are kept, in characters. */
export const MAX_ARGUMENT_CHARACTERS = 16_384
/** Those of all calls of one answer together. */
export const MAX_ARGUMENTS_AT_ONCE = 64 * 1024
/** Stands for what had to go. */
export const LEFT_OUT = '(left out: the conversation has become too long)'

/** Messages that begin a conversation: instructions, and what is to be done. */
const OPENING = 2

/** How long a conversation is, in characters. */
export function lengthOf(messages: readonly ChatMessage[]): number {
  return messages.reduce((sum, message) => sum + lengthOfMessage(message), 0)
}

/**
 * Adds a message, and makes room: of the oldest results of tools, then of what the model has said, only a mark is left; then whole answers go, the oldest
 * first, with their results. What begins the conversation, the newest answer, whose calls are yet to be made, and what was added, stay as they are.
 * Calls keep their results: a server refuses one without.
 */
export function addMessage(messages: ChatMessage[], message: ChatMessage, most = MAX_TRANSCRIPT_CHARACTERS): void {
  messages.push(message)
  let over = lengthOf(messages) - most
  const isNewest = (at: number): boolean => at === messages.length - 1 || at === newestAnswer(messages)
  for (const role of ['tool', 'assistant'] as const) {
    for (let at = OPENING; at < messages.length && over > 0; at++) {
      const old = messages[at]!
      if (old.role !== role || isNewest(at)) continue
      const short = shortened(old)
      over -= lengthOfMessage(old) - lengthOfMessage(short)
      messages[at] = short
    }
  }
  if (over > 0) dropOldest(messages, over)
}

/** Marks have a length, too: of the answers that are dropped one is left for all. */
function dropOldest(messages: ChatMessage[], over: number): void {
  const mark: ChatMessage = { role: 'assistant', content: LEFT_OUT }
  const end = newestAnswer(messages)
  let left = over + lengthOfMessage(mark)
  let at = OPENING
  // An answer goes with all of its results.
  while (at < end && (left > 0 || messages[at]!.role === 'tool')) left -= lengthOfMessage(messages[at++]!)
  if (at > OPENING) messages.splice(OPENING, at - OPENING, mark)
}

function newestAnswer(messages: readonly ChatMessage[]): number {
  return messages.findLastIndex(({ role }) => role === 'assistant')
}

function shortened(message: ChatMessage): ChatMessage {
  const content = (message.content ?? '').length > LEFT_OUT.length ? LEFT_OUT : message.content
  if (message.role !== 'assistant') return { ...message, content: content ?? '' }
  const calls = message.tool_calls?.map((call) => ({ ...call, function: { ...call.function, arguments: '{}' } }))
  return { ...message, content, ...(calls !== undefined && { tool_calls: calls }) }
}

function lengthOfMessage(message: ChatMessage): number {
  const calls = message.role === 'assistant' ? (message.tool_calls ?? []) : []
  const answered = message.role === 'tool' ? message.tool_call_id.length : 0
  return calls.reduce(
    (sum, { id, function: { name, arguments: given } }) => sum + id.length + name.length + given.length,
    answered + (message.content ?? '').length
  )
}
