/** Topics and topic filters of MQTT (MQTT 3.1.1, section 4.7: http://docs.oasis-open.org/mqtt/mqtt/v3.1.1/). Pure. */
import type { MqttConfig } from './mqtt-config.ts'
import { filterOfTemplate, topicTemplateProblem } from './mqtt-topic-template.ts'

/** Longest topic or filter, in UTF-8 bytes. */
export const MAX_TOPIC_BYTES = 65_535

/** First levels that brokers take for subscriptions which several clients share (MQTT 5, 4.8.2, and EMQX): no topics begin with them. */
const SHARED: readonly string[] = ['$share', '$queue']

/** What is wrong with a filter; undefined if nothing is. `+` stands for one level, `#` at the end for all below. */
export function filterProblem(filter: string): string | undefined {
  const levels = filter.split('/')
  if (SHARED.includes(levels[0]!))
    return `"${filter}" is a shared subscription, of which a node would hear a part; name the topics alone`
  const wrong = levels.some((level, n) => /[+#]/.test(level) && level !== '+' && !(level === '#' && n === levels.length - 1))
  if (wrong) return `"${filter}" is no topic filter: "+" is a whole level, and "#" the last one`
  return sizeProblem(filter)
}

/** What is wrong with a topic that is published to; undefined if nothing is. */
export function topicProblem(topic: string): string | undefined {
  if (/[+#]/.test(topic)) return `"${topic}" is no topic: "+" and "#" stand only in filters`
  return sizeProblem(topic)
}

function sizeProblem(topic: string): string | undefined {
  if (topic === '') return 'a topic has at least one character'
  if (topic.includes('\0')) return 'a topic has no zero character'
  return new TextEncoder().encode(topic).length > MAX_TOPIC_BYTES ? `a topic has at most ${MAX_TOPIC_BYTES} bytes` : undefined
}

/** True if a topic fits a filter. */
export function matchTopic(filter: string, topic: string): boolean {
  const levels = topic.split('/')
  const wanted = filter.split('/')
  // Topics that begin with $ are those of the broker itself: no wildcard at the beginning fits them.
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false
  for (const [n, level] of wanted.entries()) {
    if (level === '#') return true
    if (n >= levels.length || (level !== '+' && level !== levels[n])) return false
  }
  return levels.length === wanted.length
}

/** True if some topic fits both filters. */
export function filtersOverlap(one: string, other: string): boolean {
  const a = one.split('/')
  const b = other.split('/')
  if ((one.startsWith('$') && /^[+#]/.test(other)) || (other.startsWith('$') && /^[+#]/.test(one))) return false
  for (let n = 0; ; n++) {
    // "a/#" fits "a" as well.
    if (a[n] === '#' || b[n] === '#') return true
    if (a[n] === undefined || b[n] === undefined) return a[n] === b[n]
    if (a[n] !== '+' && b[n] !== '+' && a[n] !== b[n]) return false
  }
}

/** What is wrong with a topic that events are published to: also if they came back as events, without end. */
function handlesProblem(template: string, subscriptions: readonly { topic: string }[]): string | undefined {
  const filter = filterOfTemplate(template)
  const problem = topicTemplateProblem(template) ?? topicProblem(template)
  if (problem !== undefined) return problem
  const at = subscriptions.findIndex(({ topic }) => filtersOverlap(topic, filter))
  return at === -1 ? undefined : `what is published to "${template}" would come back by subscribe[${at}], without end`
}

/** What a schema cannot see: filters that are none, and topics that would raise two events. */
export function mqttProblems(config: MqttConfig): { path: (string | number)[]; message: string }[] {
  const { subscribe = [], publish = [], handles } = config
  const problems = [
    ...subscribe.map(({ topic }, n) => ({ path: ['subscribe', n, 'topic'], message: filterProblem(topic) })),
    ...publish.map((topic, n) => ({ path: ['publish', n], message: filterProblem(topic) })),
    ...subscribe.map(({ topic }, n) => {
      const first = subscribe.findIndex((other) => filtersOverlap(other.topic, topic))
      const message = first < n ? `"${topic}" has topics of subscribe[${first}] as well; a message raises one event` : undefined
      return { path: ['subscribe', n, 'topic'], message }
    })
  ]
  if (handles !== undefined) problems.push({ path: ['handles', 'topic'], message: handlesProblem(handles.topic, subscribe) })
  for (const [first, second] of [
    ['username', 'usernameEnv'],
    ['passwordFile', 'passwordEnv']
  ] as const) {
    const both = config[first] !== undefined && config[second] !== undefined
    problems.push({ path: [second], message: both ? `cannot stand beside ${first}` : undefined })
  }
  if (config.tls !== undefined && !config.url.startsWith('mqtts:'))
    problems.push({ path: ['tls'], message: 'needs a url that begins with mqtts:' })
  return problems.flatMap(({ path, message }) => (message === undefined ? [] : [{ path, message }]))
}
