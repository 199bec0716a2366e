import assert from 'node:assert/strict'
import { isMeshError } from '../../../src/errors.ts'
import { INVITE_MS, MAX_INVITES, createInvites, type InviteGrant } from '../../../src/trust/invites.ts'

const GRANT: InviteGrant = { role: 'guest', forward: false }

function setup() {
  let time = 0
  let count = 0
  const invites = createInvites(
    () => time,
    (bytes) => new Uint8Array(bytes).fill(++count)
  )
  return { invites, pass: (ms: number) => (time += ms) }
}
const isUnknown = (error: unknown): boolean =>
  isMeshError(error, 'permission_denied') && error.details['reason'] === 'unknown_invite'
const WRONG = new Uint8Array(16).fill(255)

describe('invites', () => {
  it('open once', () => {
    const { invites } = setup()
    assert.equal(invites.any, false)
    const token = invites.give(GRANT)
    assert.equal(invites.any, true)
    assert.deepEqual(invites.use(token).grant, GRANT)
    assert.equal(invites.any, false)
    assert.throws(() => invites.use(token), isUnknown)
  })

  it('end after their time, by the monotonic clock', () => {
    const { invites, pass } = setup()
    const token = invites.give(GRANT)
    pass(INVITE_MS - 1)
    assert.equal(invites.any, true)
    pass(1)
    assert.equal(invites.any, false)
    assert.throws(() => invites.use(token), isUnknown)
  })

  it('stay when somebody guesses: 128 bits are not guessed, and a stranger must not end them', () => {
    const { invites } = setup()
    const token = invites.give(GRANT)
    for (let n = 0; n < 1_000; n++) assert.throws(() => invites.use(WRONG), isUnknown)
    assert.deepEqual(invites.use(token).grant, GRANT)
  })

  it('hold again, for the rest of their time, when who came could not be let in', () => {
    const { invites, pass } = setup()
    const token = invites.give(GRANT)
    invites.use(token).undo()
    assert.deepEqual(invites.use(token).grant, GRANT)
    const other = invites.give(GRANT)
    const { undo } = invites.use(other)
    pass(INVITE_MS)
    undo()
    assert.throws(() => invites.use(other), isUnknown)
  })

  it('are bounded', () => {
    const { invites, pass } = setup()
    for (let n = 0; n < MAX_INVITES; n++) invites.give(GRANT)
    assert.throws(
      () => invites.give(GRANT),
      (error) => isMeshError(error, 'busy')
    )
    pass(INVITE_MS)
    invites.give(GRANT)
  })
})
