/** What this machine has that others could use: by what the system tells of itself, in files. Node only. */
import { readFile, readdir } from 'node:fs/promises'
import { arch, cpus, totalmem } from 'node:os'
import { join } from 'node:path'

/** Largest file that is read here, in characters. */
const MAX_FILE = 64 * 1024
/** Longest name of a device, in characters. */
const MAX_NAME = 120

/** A graphics processor. */
export interface Gpu {
  name: string
  /** Own memory, in bytes, where the system says it. */
  memoryBytes?: number
}

/** A camera or microphone. */
export interface MediaDevice {
  name: string
  /** `/dev/video0`, `hw:0,0` */
  device: string
}

/** See {@link readHardware}. Lists are empty where the system does not say. */
export interface Hardware {
  cpu: { model: string; cores: number; architecture: string }
  /** In bytes. */
  memoryBytes: number
  gpus: Gpu[]
  cameras: MediaDevice[]
  microphones: MediaDevice[]
}

/** Reads it. @param root the folder that `/proc` and `/sys` are in. */
export async function readHardware(root = '/'): Promise<Hardware> {
  const all = cpus()
  const [nvidia, drm, cameras, microphones] = await Promise.all([
    nvidiaGpus(root),
    otherGpus(root),
    camerasOf(root),
    microphonesOf(root)
  ])
  return {
    cpu: { model: line(all[0]?.model ?? 'unknown'), cores: all.length, architecture: arch() },
    memoryBytes: totalmem(),
    gpus: [...nvidia, ...drm],
    cameras,
    microphones
  }
}

/** The driver of NVIDIA has a folder for each. */
async function nvidiaGpus(root: string): Promise<Gpu[]> {
  const folder = join(root, 'proc/driver/nvidia/gpus')
  const texts = await Promise.all((await names(folder)).map((name) => text(join(folder, name, 'information'))))
  return texts.flatMap((found) => {
    const model = /^Model:\s*(.+)$/m.exec(found)?.[1]
    return model === undefined ? [] : [{ name: line(model) }]
  })
}

const VENDORS: Record<string, string> = { '0x1002': 'AMD', '0x8086': 'Intel', '0x10de': 'NVIDIA' }

/** Cards of the kernel's graphics, but those that are listed above. */
async function otherGpus(root: string): Promise<Gpu[]> {
  const folder = join(root, 'sys/class/drm')
  const cards = (await names(folder)).filter((name) => /^card\d+$/.test(name))
  const found = await Promise.all(
    cards.map(async (card): Promise<Gpu[]> => {
      const device = join(folder, card, 'device')
      const vendor = VENDORS[(await text(join(device, 'vendor'))).trim()]
      if (vendor === undefined || vendor === 'NVIDIA') return []
      const memory = Number((await text(join(device, 'mem_info_vram_total'))).trim())
      const product = line(await text(join(device, 'product_name')))
      return [{ name: product === '' ? `${vendor} graphics` : product, ...(memory > 0 && { memoryBytes: memory }) }]
    })
  )
  return found.flat()
}

/** Devices of Video4Linux; several of one camera have the same name, the first is the one that pictures come from. */
async function camerasOf(root: string): Promise<MediaDevice[]> {
  const folder = join(root, 'sys/class/video4linux')
  const devices = (await names(folder)).filter((name) => /^video\d+$/.test(name))
  const found = await Promise.all(
    devices.map(async (device) => ({ name: line(await text(join(folder, device, 'name'))), device: `/dev/${device}` }))
  )
  const ordered = found.sort((a, b) => Number(a.device.slice(10)) - Number(b.device.slice(10)))
  return ordered.filter(({ name }, at) => ordered.findIndex((one) => one.name === name) === at)
}

/** `00-00: ALC257 Analog : ALC257 Analog : playback 1 : capture 1` */
async function microphonesOf(root: string): Promise<MediaDevice[]> {
  const lines = (await text(join(root, 'proc/asound/pcm'))).split('\n')
  return lines.flatMap((one) => {
    const match = /^(\d+)-(\d+): ([^:]*):.*\bcapture \d/.exec(one)
    return match === null ? [] : [{ name: line(match[3]!), device: `hw:${Number(match[1])},${Number(match[2])}` }]
  })
}

const line = (said: string): string => said.trim().replaceAll(/\s+/g, ' ').slice(0, MAX_NAME)
const names = (folder: string): Promise<string[]> => readdir(folder).catch(() => [])
const text = async (file: string): Promise<string> => (await readFile(file, 'utf8').catch(() => '')).slice(0, MAX_FILE)
