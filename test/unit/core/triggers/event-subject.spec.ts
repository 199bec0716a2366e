import assert from 'node:assert/strict'
import { compileSubject, firingKey } from '../../../../src/core/triggers/event-subject.ts'
import { isMeshError } from '../../../../src/errors.ts'

describe('subject of an event', () => {
  const subjectOf = compileSubject({ id: 'cam', metadata: { location: 'garden' } }, { event: 'motion' })

  it('is its location, of the payload or of the capability', () => {
    assert.equal(subjectOf({ location: 'front door' }), 'front door')
    assert.equal(subjectOf({}), 'garden')
    assert.equal(compileSubject({ id: 'cam' }, { event: 'motion' })({ door: 1 }), undefined)
  })

  it('is what the trigger says', () => {
    const of = compileSubject({ id: 'cam' }, { event: 'motion', subject: 'door.id' })
    assert.equal(of({ door: { id: 7 }, location: 'x' }), '7')
    assert.equal(of({ door: { id: 'x'.repeat(1_000) } })?.length, 256)
    assert.equal(of('front door'), undefined)
    for (const subject of ['', 'a b', '{door}', '.a'])
      assert.throws(
        () => compileSubject({ id: 'cam' }, { event: 'motion', subject }),
        (error) => isMeshError(error, 'invalid_argument')
      )
  })

  it('tells the two doors of one camera apart, two cameras, and two events', () => {
    const keys = [
      firingKey('a', 'motion', 'front door'),
      firingKey('a', 'motion', 'back door'),
      firingKey('b', 'motion', 'front door'),
      firingKey('a', 'sound', 'front door'),
      firingKey('a', 'motion', undefined),
      firingKey('a', 'motion', '')
    ]
    assert.equal(new Set(keys).size, keys.length)
  })
})
