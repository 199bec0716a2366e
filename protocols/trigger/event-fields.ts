/** What is the same of an event in every form in which it is shown. What it does not have is left out, not undefined. */
export interface EventFields {
  id: string
  type: string
  subject?: string
  time?: string
  traceparent?: string
  priority: 'low' | 'normal' | 'high' | 'critical'
  intent: string
}

/** Those of an event. */
export function eventFields({ id, type, subject, time, traceparent, priority, intent }: EventFields): EventFields {
  return {
    id,
    type,
    ...(subject !== undefined && { subject }),
    ...(time !== undefined && { time }),
    ...(traceparent !== undefined && { traceparent }),
    priority,
    intent
  }
}
