import type { Command } from 'commander'
import { existsSync } from 'node:fs'
import { shortId } from '../../protocols/short-id.ts'
import { readAuditLog, type AuditLine } from '../data-dir-audit.ts'
import { MeshError } from '../errors.ts'
import { contextOf, parseSpan, withNodeOptions, type NodeOptions } from './command-line.ts'
import { plain, type Colors } from './output.ts'

/** `atmo audit`: what happened at the node, and whether the log of it is whole. */
export function addAudit(program: Command): void {
  withNodeOptions(program.command('audit').description('show who did what at this node, and check that the log of it is whole'))
    .option('--since <duration>', 'only what happened within this time, such as 1h, 7d or 2w', parseSpan)
    .action(async (options: NodeOptions & { since?: number }) => {
      const { dataDir, output } = contextOf(options)
      if (!existsSync(dataDir)) throw new MeshError('unavailable', `there is no data directory ${dataDir}; which one? --data-dir`)
      const { lines, broken, torn } = await readAuditLog(dataDir)
      const from = options.since === undefined ? '' : new Date(Math.max(0, Date.now() - options.since)).toISOString()
      for (const line of lines.filter(({ at }) => at >= from))
        await output.out(output.json ? `${JSON.stringify(line)}\n` : showLine(line, output.colors))
      if (broken !== undefined)
        throw new MeshError(
          'conflict',
          `the audit log was tampered with, or is damaged: ${broken.file}, line ${broken.line}: ${broken.why}`,
          broken
        )
      const end = torn ? '; the last line is not finished: a power cut, or a node that is writing it' : ''
      if (!output.json) await output.err(output.errorColors.dim(`${lines.length} lines, the chains of hashes are whole${end}\n`))
    })
}

function showLine({ at, event, log: _log, n: _n, prev: _prev, ...rest }: AuditLine, { dim, bold }: Colors): string {
  const shown = Object.entries(rest)
    .filter(([key]) => key !== 'inputSha256')
    .map(
      ([key, value]) =>
        `${dim(`${key}=`)}${plain(key === 'peer' ? shortId(String(value)) : typeof value === 'string' ? value : JSON.stringify(value))}`
    )
  return `${dim(at)} ${bold(event.padEnd(8))} ${shown.join(' ')}\n`
}
