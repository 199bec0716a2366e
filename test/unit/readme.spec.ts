import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Command } from 'commander'
import ts from 'typescript'
import { USAGE } from '../../scripts/demo/arguments.ts'
import { createProgram } from '../../src/cli/program.ts'
import { parseConfig } from '../../src/config.ts'
import { startChild } from '../fixtures/child.ts'
import { markdownFiles } from '../fixtures/documentation.ts'

const ROOT = join(import.meta.dirname, '../..')
const PAGES = markdownFiles(ROOT).filter((path) => path === 'README.md' || /^docs\/(?!adr\/)/.test(path))
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

/** The contents of the fences of one language. */
function blocks(text: string, language: string): string[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].flatMap(([, found, code = '']) => (found === language ? [code] : []))
}

/** What stands between backticks outside of fences. */
function inline(text: string): string[] {
  return [...text.replaceAll(/^```[\s\S]*?^```$/gm, '').matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code)
}

/** The commands `atmo …` of a page, as words without quotes. */
function commands(text: string): string[][] {
  const lines = [...blocks(text, 'sh').flatMap((block) => block.split('\n')), ...inline(text)]
  return lines
    .flatMap((line) => line.split(/&&|\|/))
    .map((line) => /^\s*(?:npx )?atmo (.+)$/.exec(line)?.[1])
    .filter((line) => line !== undefined)
    .map((line) => line.match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [])
}

const longOf = (command: Command) => [...command.options.map(({ long }) => long ?? ''), '--help']

/** What is wrong with a command, if anything: a command or an option that does not exist. */
function problemOf(program: Command, words: string[]): string | undefined {
  let command = program
  let depth = 0
  for (const word of words) {
    const next = word.startsWith('-') ? undefined : command.commands.find((one) => [one.name(), ...one.aliases()].includes(word))
    if (next === undefined) break
    command = next
    depth++
  }
  const [first = ''] = words
  // `atmo COMMAND` and `atmo …` stand for any.
  if (depth === 0 && !first.startsWith('-') && !/^([A-Z]+|…)$/.test(first)) return `no command "${first}"`
  const unknown = words.find((word) => word.startsWith('--') && !longOf(command).includes(word.split('=')[0] ?? ''))
  return unknown === undefined ? undefined : `no option ${unknown}`
}

describe('README and guides', function () {
  this.timeout(60_000)

  let program: Command
  before(async () => {
    program = await createProgram(true)
  })

  it('name commands and options that exist', () => {
    const found = PAGES.flatMap((page) => commands(read(page)).map((words) => ({ page, words })))
    assert.ok(found.length > 40, `only ${found.length} commands found`)
    const wrong = found.flatMap(({ page, words }) => {
      const problem = problemOf(program, words)
      return problem === undefined ? [] : [`${page}: atmo ${words.join(' ')}: ${problem}`]
    })
    const all = program.commands.flatMap((command) => [command, ...command.commands])
    // `npm run demo` has options of its own.
    const flags = all.flatMap(longOf).concat('--version', USAGE.match(/--[a-z]+/g) ?? [])
    for (const page of PAGES) {
      for (const code of inline(read(page))) {
        const [, flag] = /^(--[a-z-]+)/.exec(code) ?? []
        // Placeholders of the command guide look like `--height={height}`.
        if (flag !== undefined && !code.includes('{') && !flags.includes(flag)) wrong.push(`${page}: ${code}`)
      }
    }
    assert.equal(wrong.length, 0, `\n${wrong.join('\n')}\n`)
  })

  it('would see a command or an option that does not exist', () => {
    const text = 'A `atmo dance` and\n```sh\nnpx atmo call a b --parma x=1\natmo peers add /ip4/1.1.1.1/tcp/1 --json\n```\n'
    assert.deepEqual(
      commands(text).map((words) => problemOf(program, words)),
      ['no option --parma', undefined, 'no command "dance"']
    )
  })

  it('name npm verbs that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    for (const page of [...PAGES, 'CONTRIBUTING.md']) {
      for (const [, verb = ''] of read(page).matchAll(/npm run (?:-s |--silent )?([a-z0-9:]+)/g)) {
        assert.ok(verb in scripts, `${page}: npm run ${verb}`)
      }
    }
  })

  it('show configurations that are valid', () => {
    let count = 0
    for (const page of PAGES) {
      for (const block of blocks(read(page), 'yaml')) {
        parseConfig(block, page)
        count++
      }
    }
    assert.ok(count >= 6, `only ${count} configurations found`)
  })

  it('docs/cli.md has every command with exactly the options of its --help', () => {
    const text = read('docs/cli.md')
    const sections = new Map(
      [...text.matchAll(/^## atmo ([\w-]+)\n([\s\S]*?)(?=^## |$(?![\s\S]))/gm)].map(([, name = '', body = '']) => [name, body])
    )
    assert.deepEqual(
      [...sections.keys()].sort(),
      program.commands
        .map((command) => command.name())
        .filter((name) => name !== 'help')
        .sort()
    )
    for (const [name, body] of sections) {
      const command = program.commands.find((one) => one.name() === name)
      const expected = new Set([command, ...(command?.commands ?? [])].flatMap((one) => (one === undefined ? [] : longOf(one))))
      const written = new Set([...body.matchAll(/--[a-z][a-z-]*/g)].map(([flag]) => flag).concat('--help'))
      assert.deepEqual([...written].sort(), [...expected].sort(), `options of atmo ${name}`)
    }
  })

  it('the library example compiles and does what it says', async () => {
    const [example] = blocks(read('README.md'), 'ts')
    assert.ok(example)
    const folder = mkdtempSync(join(tmpdir(), 'atmo-readme-'))
    try {
      const entry = join(ROOT, 'src/index.ts')
      const file = join(folder, 'example.mts')
      writeFileSync(file, example)
      assert.deepEqual(typeErrors(file, entry), [])

      writeFileSync(file, example.replace("'atmosphere-mesh'", JSON.stringify(pathToFileURL(entry).href)))
      const { code, stdout, stderr } = await startChild(relative(ROOT, file), []).ended
      assert.equal(code, 0, stderr)
      assert.equal(stdout, `${[20, 40, 60, 80, 100].map((n) => `{ degrees: ${n} }\n`).join('')}kitchen: "1.5 l are hot"\n`)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

/** Type errors of one file in which the package is imported by its name. */
function typeErrors(file: string, entry: string): string[] {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => readFileSync(path, 'utf8')) as {
    config: { compilerOptions: object }
  }
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT)
  const program = ts.createProgram([file], {
    ...options,
    paths: { 'atmosphere-mesh': [entry] },
    typeRoots: [join(ROOT, 'node_modules/@types')]
  })
  const source = program.getSourceFile(file)
  return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(({ messageText }) =>
    ts.flattenDiagnosticMessageText(messageText, '\n')
  )
}
