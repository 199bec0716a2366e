/** What the configuration of backends `files` and `system` looks like. Data only. */
import type { JsonObject } from '../../protocols/json.ts'

/** Shares one folder of this machine. */
export interface FilesConfig {
  kind: 'files'
  /** Default `files`. */
  id?: string
  name?: string
  description?: string
  /** The folder, relative to the configuration file. */
  path: string
  /** Adds the tool `write`. Default false. */
  writable?: boolean
  /** Shares names that begin with a dot, too. Default false. */
  hidden?: boolean
  /** Longest file that `write` takes, in bytes. Default 1 GiB. */
  maxFileBytes?: number
}

/** Says what machine this is. */
export interface SystemConfig {
  kind: 'system'
}

/** JSON Schema (2020-12) of {@link FilesConfig}. */
export const filesConfigSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['kind', 'path'],
  description: 'Shares one folder: list, stat and read, and write if allowed. Nothing outside of it can be reached.',
  properties: {
    kind: { const: 'files' },
    id: { type: 'string', pattern: '^[a-z0-9][a-z0-9._:-]{0,127}$', description: 'Id of the capability. Default files.' },
    name: { type: 'string' },
    description: { type: 'string' },
    path: { type: 'string', minLength: 1, description: 'The folder, relative to the configuration file.' },
    writable: { type: 'boolean', description: 'Others may write files, too. Default false.' },
    hidden: { type: 'boolean', description: 'Share names that begin with a dot. Default false.' },
    maxFileBytes: { type: 'integer', minimum: 1, description: 'Longest file that may be written, in bytes. Default 1 GiB.' }
  }
}

/** JSON Schema (2020-12) of {@link SystemConfig}. */
export const systemConfigSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['kind'],
  description: 'What machine this is, its clock, and two tools to try the mesh with.',
  properties: { kind: { const: 'system' } }
}
