/** Topics that are made of events. Pure. */
import type { ReceivedEvent } from '../mesh-api-events.ts'

/** What may stand in braces. */
export const TOPIC_KEYS = ['node', 'capability', 'type', 'subject', 'priority'] as const

const BRACES = /\{([^{}]*)\}|[{}]/g

/** What is wrong with a template; undefined if nothing is. */
export function topicTemplateProblem(template: string): string | undefined {
  for (const [match, key] of template.matchAll(BRACES))
    if (!TOPIC_KEYS.some((known) => known === key))
      return `"${template}" has ${match}, and may have ${TOPIC_KEYS.map((known) => `{${known}}`).join(', ')}`
  return undefined
}

/** The filter of all topics that a template can make. */
export function filterOfTemplate(template: string): string {
  return template
    .split('/')
    .map((level) => (level.includes('{') ? '+' : level))
    .join('/')
}

/** The topic of an event. A value is part of one level: what would make it more, or a filter, or a topic of the broker itself, becomes `_`. */
export function topicOf(template: string, event: ReceivedEvent): string {
  return template.replaceAll(BRACES, (_, key: (typeof TOPIC_KEYS)[number]) => levelOf(event[key]))
}

function levelOf(value: string | undefined): string {
  // eslint-disable-next-line no-control-regex -- these are what is looked for
  const text = (value ?? '').replace(/[/+#\u0000-\u001f\u007f-\u009f\ud800-\udfff]|^\$/gu, '_')
  return text === '' ? '_' : text
}
