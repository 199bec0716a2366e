/** What the steps of the security scenario share. */
import type { AgentTask } from '../../../src/agents/task.ts'
import type { JsonObject } from '../../../src/core/invoke.ts'
import type { DemoArguments } from '../arguments.ts'
import type { DemoNode, Fleet } from '../fleet.ts'
import { check, type Program } from '../programs.ts'
import type { ScenarioParts } from '../scenario.ts'
import type { LanguageModel } from './language-model.ts'
import type { NodeName } from './nodes.ts'

/** The motion that all follows from. */
export interface Motion {
  /** When its picture came, and when the trigger was read, in ms of `performance.now()`. */
  seenAt: number
  raisedAt: number
  frame: string
  payload: JsonObject
}

/** Filled step by step. */
export interface SecurityStage {
  parts: ScenarioParts
  settings: DemoArguments
  /** Folder of what is left to look at and to hear. */
  out: string
  model?: LanguageModel
  video?: Program<never>
  fleet?: Fleet<NodeName>
  nodes: Map<NodeName, DemoNode<NodeName>>
  motion?: Motion
  task?: AgentTask
  /** When the speech was said to be complete. */
  spoken?: { at: number; text: string; durationMs: number; file: string }
  /** What is left there, by what it is. */
  files: Record<string, string>
}

/** What an earlier step has put there. */
export function given<T>(value: T | undefined, what: string): T {
  check(value !== undefined, `there is no ${what}`)
  return value
}

/** A node that runs. */
export function nodeOf({ nodes }: SecurityStage, name: NodeName): DemoNode<NodeName> {
  return given(nodes.get(name), `node "${name}"`)
}

/** A time of the wall clock, RFC 3339, in ms of `performance.now()`. */
export function momentOf(time: string): number {
  return Date.parse(time) - performance.timeOrigin
}
