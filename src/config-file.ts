/** Finds and reads the configuration of a node and puts it together with flags and environment. Node only. */
import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { apiAddressProblem, apiKeyProblem, readApiAddress } from './http/api-address.ts'
import { mergeConfig, parseConfig, type Config } from './config.ts'
import { defaultDataDir, resolveDataDir, type DirEnvironment } from './data-dir.ts'
import { MeshError } from './errors.ts'

/** Largest configuration file, in bytes. */
const MAX_CONFIG_BYTES = 1024 * 1024
const CONFIG_NAME = 'atmo.yaml'

/** What `atmo start` was told on its command line. */
export interface StartFlags extends Config {
  dataDir?: string
  /** Path of the configuration file. */
  config?: string
}

/** All that a node starts with. */
export interface Settings {
  config: Config
  /** Absolute. */
  dataDir: string
  /** Folder that relative paths in the configuration start from. */
  baseDir: string
  /** The file that was read, if any. */
  file: string | undefined
  /** Content of the API key file, if one is named. */
  apiKey: string | undefined
}

/**
 * Flags win over `ATMO_DATA_DIR`, `ATMO_CONFIG`, `ATMO_API` and `ATMO_API_KEY_FILE`, those over the file, the file over defaults.
 * Throws `invalid_config`, also for a file that is named and not there, unless `mayBeNew`.
 */
export async function loadSettings(
  flags: StartFlags = {},
  environment: DirEnvironment = {},
  { mayBeNew = false } = {}
): Promise<Settings> {
  const env = environment.env ?? process.env
  const { dataDir: dataDirFlag, config: configFlag, ...over } = flags
  const dataDir = resolveDataDir(dataDirFlag, environment)
  const named = configFlag || env['ATMO_CONFIG'] || undefined
  const file = named ?? (await existing(defaultConfigFile(dataDir, environment)))
  const isNew = file !== undefined && mayBeNew && !(await isThere(file))
  const fromFile = file === undefined || isNew ? {} : parseConfig(await readConfig(file), file)
  const baseDir = file === undefined ? process.cwd() : dirname(resolve(file))
  const config = mergeConfig(mergeConfig(fromFile, { api: env['ATMO_API'] || undefined }), over)
  const apiProblem = config.api === undefined ? undefined : apiAddressProblem(config.api)
  if (apiProblem !== undefined) throw new MeshError('invalid_config', apiProblem, { api: config.api })
  const keyFlag = over.apiKeyFile ?? (env['ATMO_API_KEY_FILE'] || undefined)
  const keyFile = keyFlag ?? (fromFile.apiKeyFile === undefined ? undefined : resolve(baseDir, fromFile.apiKeyFile))
  return { config, dataDir, baseDir, file, apiKey: keyFile === undefined ? undefined : await readKey(keyFile) }
}

/** What is wrong with the address of the local API and its key together; undefined if nothing is. */
export function settingsProblem({ config, apiKey }: Settings): string | undefined {
  const host = config.api === undefined ? undefined : readApiAddress(config.api)?.host
  return host === undefined ? undefined : apiKeyProblem(host, config.api!, apiKey)
}

/**
 * Where the configuration is when none is named: `atmo.yaml` in the data directory if that was chosen,
 * else in the XDG configuration directory (https://specifications.freedesktop.org/basedir-spec/).
 */
export function defaultConfigFile(dataDir: string, environment: DirEnvironment = {}): string {
  const { env = process.env, platform = process.platform, home = homedir() } = environment
  if (dataDir !== defaultDataDir(environment) || platform === 'darwin' || platform === 'win32') return join(dataDir, CONFIG_NAME)
  const xdg = env['XDG_CONFIG_HOME']
  return join(xdg && isAbsolute(xdg) ? xdg : join(home, '.config'), 'atmosphere', CONFIG_NAME)
}

async function existing(file: string): Promise<string | undefined> {
  return (await stat(file).catch(() => undefined))?.isFile() ? file : undefined
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined
}

async function readConfig(file: string): Promise<string> {
  try {
    const { size } = await stat(file)
    if (size > MAX_CONFIG_BYTES)
      throw new MeshError('invalid_config', `${file}: over ${MAX_CONFIG_BYTES} bytes, which is no configuration`, { file })
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof MeshError) throw error
    throw new MeshError(
      'invalid_config',
      `cannot read the configuration ${file} (${(error as NodeJS.ErrnoException).code})`,
      { file },
      { cause: error }
    )
  }
}

async function readKey(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (error) {
    throw new MeshError(
      'invalid_config',
      `cannot read the API key file ${file} (${(error as NodeJS.ErrnoException).code})`,
      { file },
      { cause: error }
    )
  }
}
