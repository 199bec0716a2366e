import assert from 'node:assert/strict'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MeshError, isMeshError } from '../../src/errors.ts'
import { readMesh } from '../../src/data-dir-mesh.ts'
import { createMeshChange } from '../../src/node-change.ts'
import { initMesh } from '../../src/node-join.ts'
import type { Mesh } from '../../src/mesh-api.ts'

describe('a node that runs changes its mesh', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'atmo-change-'))
    await initMesh(dir, 'old')
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  const status = (() => ({ mesh: { open: false } })) as unknown as Mesh['status']
  const spares = async (): Promise<string[]> => (await readdir(dir)).filter((name) => name.endsWith('.tmp'))
  /** What a node would do between its stop and its next start. */
  const leave = async (): Promise<() => Promise<unknown>> => {
    let work: (() => Promise<unknown>) | undefined
    const change = createMeshChange({ mesh: { status }, dir, name: 'pi', restart: (given) => (work = given) })
    assert.equal((await change.leave(false)).name, 'old')
    return work!
  }

  it('holds room on the disk until it has stopped, and gives it back', async () => {
    const work = await leave()
    assert.equal((await spares()).length, 1)
    await work()
    assert.deepEqual(await spares(), [])
    assert.equal((await readMesh(dir))?.name, "pi's mesh")
    assert.match(await readFile(join(dir, 'mesh.left.json'), 'utf8'), /"name": "old"/)
  })

  it('has its old mesh again where a new one cannot be made', async () => {
    const work = await leave()
    const before = await readFile(join(dir, 'mesh.json'), 'utf8')
    await writeFile(join(dir, 'identity.key'), 'damaged')
    await assert.rejects(work(), (error) => isMeshError(error))
    assert.equal(await readFile(join(dir, 'mesh.json'), 'utf8'), before)
    assert.ok(!(await readdir(dir)).includes('mesh.left.json'))
  })

  it('holds nothing where it is stopping already', async () => {
    const restart = (): never => {
      throw new MeshError('unavailable', 'the node is stopping')
    }
    await assert.rejects(createMeshChange({ mesh: { status }, dir, name: undefined, restart }).leave(false), /is stopping/)
    assert.deepEqual(await spares(), [])
  })
})
