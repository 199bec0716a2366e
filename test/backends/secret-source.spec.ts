import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MAX_SECRET_BYTES, certificateFile, readSecret, secretFile } from '../../src/backends/secret-source.ts'
import { isMeshError } from '../../src/errors.ts'
import { within } from './contract.ts'

describe('secrets in files', () => {
  let baseDir: string
  beforeEach(async () => (baseDir = await mkdtemp(join(tmpdir(), 'atmo-secret-'))))
  afterEach(() => rm(baseDir, { recursive: true }))
  const read = (file: string) => within(readSecret({ variable: undefined, file }, { baseDir }), file)
  const refused = (file: string, message: RegExp) =>
    assert.rejects(read(file), (error) => isMeshError(error, 'unavailable') && message.test(error.message))

  it('are read whole up to their limit, and what is larger is not read', async () => {
    await writeFile(join(baseDir, 'most'), 'x'.repeat(MAX_SECRET_BYTES), { mode: 0o600 })
    assert.equal((await read('most'))!.length, MAX_SECRET_BYTES)
    await writeFile(join(baseDir, 'more'), 'x'.repeat(MAX_SECRET_BYTES + 1))
    await refused('more', /over 262144 bytes/)
    // Larger than what is read at once: whoever reads it before looking at its size fails otherwise.
    await truncate(join(baseDir, 'more'), 2 ** 33)
    await refused('more', /over 262144 bytes/)
  })

  it('folders, pipes that nobody writes to, blanks and what is not there are refused', async () => {
    await mkdir(join(baseDir, 'folder'))
    await refused('folder', /"folder" is no file/)
    execFileSync('mkfifo', [join(baseDir, 'pipe')])
    await refused('pipe', /"pipe" is no file/)
    await refused('/dev/zero', /is no file/)
    await writeFile(join(baseDir, 'blank'), ' \n\t')
    await refused('blank', /nothing but blanks/)
    await writeFile(join(baseDir, 'empty'), '')
    await refused('empty', /nothing but blanks/)
    await refused('missing', /cannot read the file "missing" \(ENOENT\)/)
  })

  it('that everybody may read are told to the log, once, and certificates are not', async () => {
    const logged: string[] = []
    const init = { baseDir, log: (_: string, message: string) => void logged.push(message) }
    for (const [name, mode] of Object.entries({ own: 0o600, group: 0o640, all: 0o644 })) {
      await writeFile(join(baseDir, name), 'secret')
      await chmod(join(baseDir, name), mode)
      for (let n = 0; n < 2; n++) assert.equal((await secretFile(name, init)).toString(), 'secret')
      await certificateFile(name, init)
    }
    assert.deepEqual(logged, ['every user of this machine may read the secret in "all"; chmod 600 keeps it'])
  })
})
