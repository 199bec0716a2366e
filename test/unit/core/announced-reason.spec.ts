import assert from 'node:assert/strict'
import { programProblem } from '../../../src/backends/program-path.ts'
import { readSecret } from '../../../src/backends/secret-source.ts'
import { announcedDeclaration, announcedReason } from '../../../src/core/announced-reason.ts'

describe('the reason that other nodes are told', () => {
  const cases: [reason: string, told: string][] = [
    ['program "/opt/my tools/run" is not there or not executable', 'program … is not there or not executable'],
    ['tool "a": program "bin/run" is not there', 'tool "a": program … is not there'],
    ['program "espeak-ng" is not on PATH; install it', 'program "espeak-ng" is not on PATH; install it'],
    ['folder "inbox" to run in does not exist', 'folder … to run in does not exist'],
    ['the file "key.txt" holds nothing but blanks', 'the file … holds nothing but blanks'],
    ['the variable CAM_KEY is not set; set it', 'the variable … is not set; set it'],
    ['the variable is not set', 'the variable is not set'],
    ["ENOENT: no such file or directory, open '/home/me/x y'", 'ENOENT: no such file or directory, open …'],
    ['exit code 1: /dev/video0: No such device', 'exit code 1: … No such device'],
    ['cannot read ~/secret, ../other or C:\\keys\\a', 'cannot read …, … or …'],
    ['ended: file:///etc/passwd', 'ended: …'],
    // What tells nothing of the machine stays.
    ['nobody offers "llm/chat"', 'nobody offers "llm/chat"'],
    ['no answer from http://host:8000/v1 (503)', 'no answer from http://host:8000/v1 (503)'],
    ['on holiday until 1/2', 'on holiday until 1/2']
  ]
  for (const [reason, told] of cases) it(`of: ${reason}`, () => assert.equal(announcedReason(reason), told))

  it('has no path, file and variable that a backend names', async () => {
    const said = [
      await programProblem('/secret/place/run', { cwd: '/', path: '' }),
      await programProblem('secret/run', { cwd: '/', path: '' }),
      await programProblem('run', { cwd: '/secret place', path: '' }),
      ...(await Promise.all(
        [
          { variable: 'SECRET_NAME', file: undefined },
          { variable: undefined, file: 'secret.key' }
        ].map((from) => readSecret(from, { baseDir: '/secret', env: {} }).then(String, (error: Error) => error.message))
      ))
    ]
    for (const reason of said) {
      assert.match(reason!, /secret/i)
      assert.doesNotMatch(announcedReason(reason!), /secret/i)
    }
  })

  it('stands in the declaration, of which nothing else changes', () => {
    const declaration = { id: 'a', type: 'b', description: 'sees /dev/video0' }
    assert.equal(announcedDeclaration(declaration), declaration)
    assert.deepEqual(announcedDeclaration({ ...declaration, status: 'offline', statusReason: 'no /x' }), {
      ...declaration,
      status: 'offline',
      statusReason: 'no …'
    })
  })
})
