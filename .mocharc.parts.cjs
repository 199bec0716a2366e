// The first half of `npm test`, on two cores at once: parts of the program, and what is done by commands, each a process. These wait for
// what they are told, and for no time that is short: all were right three times on a machine with four times as much to do as it could.
const COMMANDS = `
  agent-events agents clock demo demo-security descriptors join join-running killed-node local-ai nearby rotation secrets treaty
  trigger-restarts`

module.exports = {
  ...require('./.mocharc.json'),
  parallel: true,
  jobs: 2,
  // Those that take longest first: at the end both cores have something to do.
  spec: [
    ...COMMANDS.trim()
      .split(/\s+/)
      .map((name) => `test/e2e/${name}.spec.ts`),
    'test/{unit,protocols,sim}/**/*.spec.ts'
  ]
}
