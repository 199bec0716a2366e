/** What a person at a node is asked, as the local API, the CLI and library users see it. Types only. */
import type { Role } from '../../protocols/member/messages.ts'
import type { OfMesh } from '../mesh-api.ts'
import type { JsonValue } from './invoke.ts'

/** What waits until somebody at this node allows it. */
export type ApprovalView = {
  /** For `approve`. */
  id: string
  /** PeerId of who asks. */
  caller: string
  waitingMs: number
} & (CallApproval | JoinApproval)

/** A call that waits for a yes. The role of who is of another mesh is that of a guest. */
export interface CallApproval extends OfMesh {
  kind: 'call'
  /** What the caller calls itself; empty if that is not known. */
  callerName: string
  callerRole: Role
  capability: string
  tool: string
  /** On whose behalf, PeerIds as the caller gives them, who began it first; left out if it calls for itself. */
  causes?: readonly string[]
  /** Id of the agent of this node that calls; left out if it is none. */
  agent?: string
  /** What it is called with; where that is long, the beginning of its JSON as a text, and `inputCut`. */
  input: JsonValue
  /** True: `input` is not the whole. */
  inputCut?: true
  /** Size of the whole as JSON, in bytes of UTF-8. */
  inputBytes: number
  /** SHA-256 of the same bytes, hex: as in the audit log. */
  inputSha256: string
}

/** A node nearby that asks to be let into the mesh. */
export interface JoinApproval {
  kind: 'join'
  /** What it calls itself. */
  name: string
  /** What it would become. */
  role: Role
  /** Six digits. Say yes only if the screen of that node shows the same ones: else somebody stands in between. */
  code: string
}
