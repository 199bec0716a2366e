// The second half of `npm test`, one after the other: whole nodes, which are timed. All that is not in the first.
const parts = require('./.mocharc.parts.cjs')

module.exports = {
  ...require('./.mocharc.json'),
  spec: ['test/{backends,e2e}/**/*.spec.ts'],
  ignore: parts.spec.filter((name) => name.startsWith('test/e2e/'))
}
