/** What a suite gets. */
export interface SuiteContext {
  /** The compiled file of each of its entries. */
  compiled: Record<string, string>
  /** `--name value` of the command line. */
  option(name: string): string | undefined
  /** Arguments of Node for the processes. */
  execArgv: string[]
  /** A line of progress, on standard error. */
  log(line: string): void
}

/** A benchmark: one line in the registry of `main.ts`. */
export interface Suite {
  name: string
  /** One line of help. */
  about: string
  /** Files that run in processes of their own, relative to the root. */
  entries: string[]
  /** Names of its options, each with a value. */
  options: string[]
  /** `results` is what `--json` prints, `table` what a person reads. */
  run(context: SuiteContext): Promise<{ results: object; table: string }>
}
