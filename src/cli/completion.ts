import { Argument, type Command } from 'commander'
import { write } from './output.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const

interface Entry {
  name: string
  about: string
  /** Its own commands. */
  commands: Entry[]
  options: { flag: string; about: string; file: boolean; choices: readonly string[] }[]
}

/** `atmo completion bash|zsh|fish`: a script for the shell, made from the commands as they are. */
export function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('print a completion script for a shell')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .addHelpText(
      'after',
      `
To load it:
  bash  echo 'source <(atmo completion bash)' >> ~/.bashrc
  zsh   atmo completion zsh > "\${fpath[1]}/_atmo"
  fish  atmo completion fish > ~/.config/fish/completions/atmo.fish`
    )
    .action((shell: (typeof SHELLS)[number]) => {
      return write(process.stdout, { bash, zsh, fish }[shell](program.commands.map(entryOf)))
    })
}

function entryOf(command: Command): Entry {
  return {
    name: command.name(),
    about: command.description(),
    commands: command.commands.map(entryOf),
    options: command.options.flatMap(({ long, description, flags, argChoices = [] }) =>
      long ? [{ flag: long, about: description, file: /<(file|dir)>/.test(flags), choices: argChoices }] : []
    )
  }
}

/** What may follow the name of a command, beside its options. */
function wordsOf({ name, commands }: Entry, entries: Entry[]): readonly string[] {
  if (name === 'completion') return SHELLS
  return (name === 'help' ? entries : commands).map((one) => one.name)
}

/** Every command knows the help of the others. */
const HELP: Entry = { name: 'help', about: 'show the help of a command', commands: [], options: [] }

function bash(entries: Entry[]): string {
  const all = [...entries, HELP]
  const words = (entry: Entry) => [...wordsOf(entry, entries), ...entry.options.map(({ flag }) => flag), '--help'].join(' ')
  // Those of commands of commands first: the first that fits is taken.
  const cases = all.flatMap((entry) => [
    ...entry.commands.map((own) => `    "${entry.name} ${own.name}") words="${words(own)}" ;;`),
    `    "${entry.name} "*) words="${words(entry)}" ;;`
  ])
  const values = all.flatMap((entry) =>
    [entry, ...entry.commands].flatMap(({ options }) =>
      options
        .filter(({ choices }) => choices.length > 0)
        .map(({ flag, choices }) => `    "${entry.name} ${flag}") words="${choices.join(' ')}" ;;`)
    )
  )
  const files = new Set(
    all
      .flatMap((entry) => [entry, ...entry.commands])
      .flatMap(({ options }) => options)
      .flatMap(({ flag, file }) => (file ? [flag] : []))
  )
  return `# bash completion for atmo
_atmo() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" own="" words=""
  case "$previous" in
    ${[...files].join('|')}) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  if [ "$COMP_CWORD" -gt 2 ]; then own="\${COMP_WORDS[2]}"; fi
  case "\${COMP_WORDS[1]} $previous" in
${values.join('\n')}
  esac
  if [ -n "$words" ]; then :
  elif [ "$COMP_CWORD" -eq 1 ]; then words="${all.map(({ name }) => name).join(' ')} --help --version"
  else case "\${COMP_WORDS[1]} $own" in
${cases.join('\n')}
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _atmo atmo
`
}

function zsh(entries: Entry[]): string {
  const all = [...entries, HELP]
  const quote = (text: string) =>
    text.replaceAll("'", "'\\''").replaceAll('[', '\\[').replaceAll(']', '\\]').replaceAll(':', '\\:')
  const value = ({ flag, file, choices }: Entry['options'][number]) =>
    file ? ':file:_files' : choices.length > 0 ? `:${flag.slice(2)}:(${choices.join(' ')})` : ''
  const args = (entry: Entry, first: readonly string[]) => {
    const words = first.length > 0 ? [`'1:word:(${first.join(' ')})'`] : []
    const specs = entry.options.map((option) => `'*${option.flag}[${quote(option.about)}]${value(option)}'`)
    return `_arguments ${[...words, ...specs, "'--help[show help]'"].join(' ')}`
  }
  const cases = all.map((entry) => {
    const words = wordsOf(entry, entries)
    if (entry.commands.length === 0) return `      ${entry.name}) ${args(entry, words)} ;;`
    // The name of the own command stays the first word.
    const own = entry.commands.map((one) => `        ${one.name}) ${args(one, words)} ;;\n`).join('')
    return `      ${entry.name}) case $words[2] in\n${own}        *) ${args(entry, words)} ;;\n      esac ;;`
  })
  return `#compdef atmo
_atmo() {
  local -a commands=(${all.map(({ name, about }) => `'${name}:${quote(about)}'`).join(' ')})
  _arguments -C '--version[show the version]' '--help[show help]' '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument) case $words[1] in
${cases.join('\n')}
    esac ;;
  esac
}
compdef _atmo atmo
`
}

function fish(entries: Entry[]): string {
  const quote = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
  const option = (seen: string, { flag, about, file, choices }: Entry['options'][number]) =>
    `complete -c atmo -n '${seen}' -l ${flag.slice(2)} -d ${quote(about)}${file ? ' -rF' : choices.length > 0 ? ` -xa '${choices.join(' ')}'` : ''}`
  const lines = [...entries, HELP].flatMap((entry) => {
    const { name, about, commands, options } = entry
    const seen = `__fish_seen_subcommand_from ${name}`
    const words = wordsOf(entry, entries)
    // Options that stand before the name of an own command are those of the command.
    const alone = commands.length === 0 ? seen : `${seen}; and not __fish_seen_subcommand_from ${words.join(' ')}`
    return [
      `complete -c atmo -f -n __fish_use_subcommand -a ${name} -d ${quote(about)}`,
      ...(words.length === 0 ? [] : [`complete -c atmo -f -n '${alone}' -a '${words.join(' ')}'`]),
      ...options.map((one) => option(alone, one)),
      ...commands.flatMap((own) => own.options.map((one) => option(`${seen}; and __fish_seen_subcommand_from ${own.name}`, one)))
    ]
  })
  return `# fish completion for atmo\n${lines.join('\n')}\n`
}
