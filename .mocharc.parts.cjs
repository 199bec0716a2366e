// The first half of `npm test`, on two cores at once: parts of the program, and what is done by commands, each a process. These wait for
// what they are told, with deadlines that a machine with much else to do keeps as well; what measures time is in the second half.
const COMMANDS = `
  agent-events agents clock demo-security descriptors join join-running killed-node local-ai nearby rotation secrets treaty
  trigger-restarts`

module.exports = {
  ...require('./.mocharc.json'),
  parallel: true,
  jobs: 2,
  require: ['./test/fixtures/build-first.ts'],
  // Those that take longest first, so that at the end both cores have something to do; protocols far from them, since they count on time.
  spec: [
    ...COMMANDS.trim()
      .split(/\s+/)
      .map((name) => `test/e2e/${name}.spec.ts`),
    'test/unit/**/*.spec.ts',
    'test/{sim,protocols}/**/*.spec.ts'
  ]
}
