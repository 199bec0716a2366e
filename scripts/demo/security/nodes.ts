/** The nodes of the security scenario: what each offers. */
import type { Config } from '../../../src/config.ts'

/** Names of the nodes. The others are told the address of `speaker`, and no other. */
export const NAMES = ['speaker', 'model', 'guard', 'camera'] as const
/** One of {@link NAMES}. */
export type NodeName = (typeof NAMES)[number]

/** Id of the camera. */
export const CAMERA = 'door-camera'
/** Id of the agent. */
export const AGENT = 'guard'
/** Tools that the agent must have used, by their names. */
export const USED_TOOLS = ['get_history', 'get_frame', 'speak'] as const

const INSTRUCTIONS = `You guard a house. You are told when something moves in front of a camera.
First find out what moved lately with get_history, and look at a picture of it with get_frame.
Then decide what people in the house should know, and say it to them in one short sentence with speak, once.
At last say in one sentence what you did.`

/** What is known once all but the nodes runs. */
export interface NodesInit {
  /** Address of the video. */
  video: string
  /** The model, and the address up to `/chat/completions`. */
  model: string
  llm: string
  /** It looks at pictures. */
  vision: boolean
  /** Folder for speeches. */
  speeches: string
}

/** Configuration of one of the nodes. */
export function configOf(name: NodeName, { video, model, llm, vision, speeches }: NodesInit): Config {
  switch (name) {
    case 'speaker':
      return { name, backends: [{ kind: 'speech', id: 'speaker', metadata: { location: 'hall' }, folder: speeches }] }
    case 'model':
      return { name, backends: [{ kind: 'openai-chat', id: 'chat', baseUrl: llm, model, vision }] }
    case 'guard':
      return {
        name,
        backends: [],
        agents: [
          {
            id: AGENT,
            type: 'agent/security',
            description: 'Sees to what moves in front of cameras.',
            instructions: INSTRUCTIONS,
            model: 'llm/chat',
            tools: [
              { types: ['sensor/camera'], tools: ['get_history', 'get_frame'] },
              { types: ['audio/speech'], tools: ['speak'] }
            ],
            limits: { steps: 8, timeMs: 600_000 }
          }
        ]
      }
    case 'camera':
      return {
        name,
        backends: [
          {
            kind: 'camera',
            id: CAMERA,
            metadata: { location: 'front door' },
            source: { url: video },
            // Whoever it is is in the picture by then.
            motion: { frames: 4 },
            // Somebody who comes late still finds the pictures.
            history: { seconds: 600 },
            triggers: {
              motion_detected: {
                intentTemplate: 'Something moves at the {location}; look at picture {frame}',
                routeHint: 'agent/security',
                priority: 'high'
              },
              motion_ended: false
            }
          }
        ]
      }
  }
}
