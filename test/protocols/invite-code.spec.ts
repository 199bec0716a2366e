import assert from 'node:assert/strict'
import fc from 'fast-check'
import { CODE_PREFIX, MAX_CODE_LENGTH, formatInvite, parseInvite } from '../../protocols/join/code.ts'
import type { Invite } from '../../protocols/join/messages.ts'
import { isMeshError } from '../../protocols/errors.ts'

const bytes = (minLength: number, maxLength: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength, maxLength })
const invites: fc.Arbitrary<Invite> = fc.record({
  token: bytes(16, 16),
  node: bytes(2, 64),
  addresses: fc.array(bytes(1, 128), { maxLength: 4 })
})
const refused = (text: string, why?: RegExp): void =>
  assert.throws(
    () => parseInvite(text),
    (error) => isMeshError(error, 'invalid_argument') && (why === undefined || why.test(error.message))
  )

describe('invite code', () => {
  it('says what it was made of, however people pass it on', () => {
    fc.assert(
      fc.property(invites, (invite) => {
        const code = formatInvite(invite)
        assert.match(code, /^ATMO1[A-Z2-7]+$/)
        for (const text of [
          code,
          code.toLowerCase(),
          ` ${code}\r\n`,
          code.replace(/.{5}/g, '$&-'),
          code.replace(/.{60}/g, '$&\n')
        ])
          assert.equal(formatInvite(parseInvite(text)), code)
      })
    )
  })

  it('tells a mistyped one, wherever the mistake is', () => {
    fc.assert(
      fc.property(invites, fc.nat(), fc.constantFrom(...'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'), (invite, at, letter) => {
        const code = formatInvite(invite)
        const place = CODE_PREFIX.length + (at % (code.length - CODE_PREFIX.length))
        // The last letter holds bits that say nothing.
        if (code[place] === letter || place === code.length - 1) return
        refused(code.slice(0, place) + letter + code.slice(place + 1))
        refused(code.slice(0, place))
      })
    )
  })

  it('says what is wrong', () => {
    refused('', /empty/)
    refused('hello', /does not begin with ATMO1/)
    refused(CODE_PREFIX, /not whole/)
    refused(`${CODE_PREFIX}0189`, /mistyped/)
    refused(CODE_PREFIX + 'A'.repeat(MAX_CODE_LENGTH), /too long/)
  })
})
