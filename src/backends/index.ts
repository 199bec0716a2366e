/** The kinds of backends that a configuration can name. Each is loaded when it is first used. */
import type { JsonObject } from '../core/invoke.ts'
import type { Hooks } from '../mesh-api-hooks.ts'
import type { Backend } from './backend.ts'
import { cameraConfigSchema } from './camera-config.ts'
import type { CameraConfig } from './camera-config.ts'
import { configSchema as commandConfigSchema } from './command-config.ts'
import type { CommandConfig } from './command-config.ts'
import { filesConfigSchema, systemConfigSchema } from './files-config.ts'
import type { FilesConfig, SystemConfig } from './files-config.ts'
import { folderConfigSchema } from './folder-config.ts'
import type { FolderConfig } from './folder-config.ts'
import { localAiConfigSchema } from './local-ai-config.ts'
import type { LocalAiConfig } from './local-ai-config.ts'
import { configSchema as mcpConfigSchema } from './mcp-config.ts'
import type { McpConfig } from './mcp-config.ts'
import { mqttConfigSchema } from './mqtt-config.ts'
import type { MqttConfig } from './mqtt-config.ts'
import { scheduleConfigSchema } from './schedule-config.ts'
import type { ScheduleConfig } from './schedule-config.ts'
import { speechConfigSchema } from './speech-config.ts'
import type { SpeechConfig } from './speech-config.ts'
import { transcriptionConfigSchema } from './transcription-config.ts'
import type { TranscriptionConfig } from './transcription-config.ts'
import { webhookConfigSchema } from './webhook-config.ts'
import type { WebhookConfig } from './webhook-config.ts'
import { openAiChatConfigSchema } from './openai-config.ts'
import type { OpenAiChatConfig } from './openai-config.ts'
import { openAiEmbeddingsConfigSchema } from './openai-embeddings-config.ts'
import type { OpenAiEmbeddingsConfig } from './openai-embeddings-config.ts'
import { openAiImageConfigSchema } from './openai-image-config.ts'
import type { OpenAiImageConfig } from './openai-image-config.ts'

export type { CameraConfig, CameraEvent, CameraSource, MotionConfig } from './camera-config.ts'
export type { CommandConfig, CommandToolConfig, CommandTriggerConfig, StdinMode, StdoutMode } from './command-config.ts'
export type { FilesConfig, SystemConfig } from './files-config.ts'
export type { FolderConfig, FolderEvent } from './folder-config.ts'
export type { LocalAiConfig, LocalAiServer } from './local-ai-config.ts'
export type { McpConfig, McpHttpConfig, McpStdioConfig } from './mcp-config.ts'
export type { MqttConfig, MqttQos, MqttSubscription } from './mqtt-config.ts'
export type { ScheduleConfig, ScheduleTriggerConfig } from './schedule-config.ts'
export type { SpeechConfig } from './speech-config.ts'
export type { TranscriptionConfig } from './transcription-config.ts'
export type { OpenAiChatConfig } from './openai-config.ts'
export type { OpenAiEmbeddingsConfig } from './openai-embeddings-config.ts'
export type { OpenAiImageConfig } from './openai-image-config.ts'
export type { WebhookConfig, WebhookInConfig, WebhookOutConfig } from './webhook-config.ts'

/** What every factory gets. */
export interface BackendContext {
  /** Folder of the configuration file: relative paths start there. */
  baseDir: string
  /** Version of Atmosphere. */
  version: string
  /** Those of the local API, if there is one. */
  hooks?: Hooks
  /** What the log of the node is to say. */
  log?: (level: 'warn', message: string) => void
}

/** Configuration of a backend, told apart by `kind`. */
export type BackendConfig =
  | CommandConfig
  | McpConfig
  | LocalAiConfig
  | FilesConfig
  | SystemConfig
  | ScheduleConfig
  | FolderConfig
  | MqttConfig
  | CameraConfig
  | SpeechConfig
  | TranscriptionConfig
  | OpenAiChatConfig
  | OpenAiEmbeddingsConfig
  | OpenAiImageConfig
  | WebhookConfig

/** Name of a kind of backend that a configuration can have. */
export type BackendKind = BackendConfig['kind']

/** One kind of backend. */
export interface BackendEntry<C extends BackendConfig = BackendConfig> {
  /** JSON Schema (2020-12) of its configuration. */
  readonly configSchema: JsonObject
  /** Loads its code and makes one. Throws `invalid_config` for what a schema cannot see. */
  create(config: C, context: BackendContext): Promise<Backend>
}

/** All kinds, by the `kind` of their configuration. */
export const BACKENDS: { readonly [K in BackendKind]: BackendEntry<Extract<BackendConfig, { kind: K }>> } = {
  command: {
    configSchema: commandConfigSchema,
    create: async (config, context) => (await import('./command.ts')).createCommandBackend(config, context)
  },
  mcp: {
    configSchema: mcpConfigSchema,
    create: async (config, context) => (await import('./mcp.ts')).createMcpBackend(config, context)
  },
  'local-ai': {
    configSchema: localAiConfigSchema,
    create: async (config, { version }) => (await import('./local-ai.ts')).createLocalAiBackend(config, { version })
  },
  'openai-chat': {
    configSchema: openAiChatConfigSchema,
    create: async (config) => (await import('./openai-chat.ts')).createOpenAiChatBackend(config)
  },
  'openai-embeddings': {
    configSchema: openAiEmbeddingsConfigSchema,
    create: async (config, context) => (await import('./openai-embeddings.ts')).createOpenAiEmbeddingsBackend(config, context)
  },
  'openai-image': {
    configSchema: openAiImageConfigSchema,
    create: async (config, context) => (await import('./openai-image.ts')).createOpenAiImageBackend(config, context)
  },
  files: {
    configSchema: filesConfigSchema,
    create: async (config, context) => (await import('./file-share.ts')).createFileShareBackend(config, context)
  },
  system: {
    configSchema: systemConfigSchema,
    create: async (_config, context) => (await import('./system.ts')).createSystemBackend(context)
  },
  schedule: {
    configSchema: scheduleConfigSchema,
    create: async (config) => (await import('./schedule.ts')).createScheduleBackend(config)
  },
  folder: {
    configSchema: folderConfigSchema,
    create: async (config, context) => (await import('./folder.ts')).createFolderBackend(config, context)
  },
  mqtt: {
    configSchema: mqttConfigSchema,
    create: async (config, context) => (await import('./mqtt.ts')).createMqttBackend(config, context)
  },
  camera: {
    configSchema: cameraConfigSchema,
    create: async (config, context) => (await import('./camera.ts')).createCameraBackend(config, context)
  },
  speech: {
    configSchema: speechConfigSchema,
    create: async (config, context) => (await import('./speech.ts')).createSpeechBackend(config, context)
  },
  transcription: {
    configSchema: transcriptionConfigSchema,
    create: async (config, context) => (await import('./transcription.ts')).createTranscriptionBackend(config, context)
  },
  webhook: {
    configSchema: webhookConfigSchema,
    create: async (config, context) => (await import('./webhook.ts')).createWebhookBackend(config, context)
  }
}

/** Makes the backend that a (validated) configuration names. Throws `invalid_config`. */
export function createBackend(config: BackendConfig, context: BackendContext): Promise<Backend> {
  // The table is typed by kind; TypeScript cannot see that entry and configuration belong together.
  return (BACKENDS[config.kind] as BackendEntry).create(config, context)
}
