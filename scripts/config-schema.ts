/** Writes docs/config.schema.json from code. With `--check` it writes nothing and fails if the file is out of date. */
import { readFileSync, writeFileSync } from 'node:fs'
import { format } from 'prettier'
import { CONFIG_SCHEMA } from '../src/config-schema.ts'

const file = new URL('../docs/config.schema.json', import.meta.url)
const options = JSON.parse(readFileSync(new URL('../.prettierrc.json', import.meta.url), 'utf8')) as object
const text = await format(JSON.stringify(CONFIG_SCHEMA), { ...options, parser: 'json' })

if (!process.argv.includes('--check')) writeFileSync(file, text)
else if (readFileSync(file, 'utf8') !== text) {
  console.error('docs/config.schema.json is out of date; run: npx tsx scripts/config-schema.ts')
  process.exitCode = 1
}
