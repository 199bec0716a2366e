/** What a call yields, for people: results on stdout, bytes to a file or raw, progress as a live line on stderr. */
import type { CallLine } from '../http/call-routes.ts'
import { MeshError, isErrorCode } from '../errors.ts'
import { openOutFile } from './out-file.ts'
import { plain, showBytes, showDuration, showJson, write, type Output } from './output.ts'

/** Prints the lines of one call. */
export interface CallPrinter {
  /** Throws what the call failed with, when its last line says so. */
  print(line: CallLine): Promise<void>
  close(): Promise<void>
}

/** `outFile` takes the bytes; without it they go to stdout if that is no terminal. */
export async function createCallPrinter(output: Output, outFile: string | undefined): Promise<CallPrinter> {
  const file = outFile === undefined ? undefined : await openOutFile(outFile)
  const live = process.stderr.isTTY === true
  const { errorColors } = output
  let bytes = 0
  let raw = false
  let liveLine = false
  const clearLive = async () => {
    if (liveLine) await output.err('\r\u001b[2K')
    liveLine = false
  }

  const printBytes = async (base64: string) => {
    const data = Buffer.from(base64, 'base64')
    bytes += data.byteLength
    if (file) await file.write(data)
    else if (process.stdout.isTTY === true)
      await output.err(`${errorColors.dim(`${showBytes(data.byteLength)} of bytes; keep them with --out FILE`)}\n`)
    else {
      raw = true
      await write(process.stdout, data)
    }
  }

  return {
    async print(line) {
      if ('status' in line) {
        await clearLive()
        if (line.status === 'error')
          throw new MeshError(isErrorCode(line.error.code) ? line.error.code : 'internal', line.error.message, line.error.details)
        if (file && bytes > 0) await file.keep()
        // Raw bytes on stdout must stay alone there.
        if (line.result !== null)
          await (raw ? output.err(`${showJson(line.result, true)}\n`) : output.out(`${showJson(line.result)}\n`))
        const way = line.route.local ? 'here' : line.route.hops === 1 ? 'direct' : `${line.route.hops} hops`
        const saved = file && bytes > 0 ? `, ${showBytes(bytes)} in ${plain(outFile ?? '')}` : ''
        await output.err(
          `${errorColors.green('✓')} ${errorColors.dim(`${plain(line.providerName)}, ${way}, ${showDuration(line.durationMs)}${line.cached ? ', from cache' : ''}${saved}`)}\n`
        )
        if (file && bytes === 0)
          await output.err(`${errorColors.yellow('note:')} the tool yielded no bytes; ${plain(outFile ?? '')} was not written\n`)
        return
      }
      switch (line.kind) {
        case 'json':
          await clearLive()
          return output.out(`${showJson(line.value)}\n`)
        case 'bytes':
          return printBytes(line.base64)
        case 'progress': {
          if (!live) return
          liveLine = true
          return output.err(`\r\u001b[2K${errorColors.cyan('…')} ${progressText(line.progress)}`)
        }
        case 'restart':
          await clearLive()
          if (raw)
            throw new MeshError(
              'unavailable',
              'the provider died after bytes had been written to stdout; use --out FILE, which can start over'
            )
          bytes = 0
          await file?.restart()
          return output.err(
            `${errorColors.yellow('↻')} ${errorColors.dim(`the provider failed (${plain(line.reason)}); starting over`)}\n`
          )
      }
    },
    async close() {
      await clearLive()
      await file?.close()
    }
  }
}

function progressText({ done, total, message }: { done: number; total?: number; message?: string }): string {
  const count = total === undefined || total <= 0 ? String(done) : `${Math.min(100, Math.round((100 * done) / total))} %`
  const width = Math.max(10, (process.stderr.columns ?? 80) - 12)
  return `${count}${message ? ` ${plain(message).slice(0, width)}` : ''}`
}
