// The spec reporter for people and the JSON reporter for the count, in one run. JSON goes to the file of the option `output`.
const { Spec, JSON: Json } = require('mocha').reporters

module.exports = class SpecAndJson extends Spec {
  constructor(runner, options) {
    super(runner, options)
    new Json(runner, options)
  }
}
