/** Version of this package; a test holds it to package.json. */
export const VERSION = '0.1.0'

/** What this program calls itself: to MCP clients and servers, and in `Server` of each answer of its local API (RFC 9110, 10.2.4), there without a version: nobody needs that to attack it. */
export const PROGRAM = 'atmosphere'
