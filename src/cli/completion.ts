import { Argument, type Command } from 'commander'
import { write } from './output.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const

interface Entry {
  name: string
  about: string
  /** Names of its own commands. */
  commands: string[]
  options: { flag: string; about: string; file: boolean }[]
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
      const entries = program.commands.map((command): Entry => ({
        name: command.name(),
        about: command.description(),
        commands: command.commands.map((sub) => sub.name()),
        options: optionsOf(command)
      }))
      return write(process.stdout, { bash, zsh, fish }[shell](entries))
    })
}

/** Those of its own commands, too, each once. */
function optionsOf(command: Command): Entry['options'] {
  const all = [command, ...command.commands].flatMap(({ options }) => options)
  const once = new Map<string, Entry['options'][number]>()
  for (const { long, description, flags } of all)
    if (long && !once.has(long)) once.set(long, { flag: long, about: description, file: /<(file|dir)>/.test(flags) })
  return [...once.values()]
}

function bash(entries: Entry[]): string {
  const cases = entries.map(
    ({ name, commands, options }) =>
      `    ${name}) words="${[...commands, ...options.map(({ flag }) => flag), '--help', ...(name === 'completion' ? SHELLS : [])].join(' ')}" ;;`
  )
  return `# bash completion for atmo
_atmo() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" words=""
  case "$previous" in
    --config|--data-dir|--out|--api-key-file) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then words="${entries.map(({ name }) => name).join(' ')} --help --version"
  else case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _atmo atmo
`
}

function zsh(entries: Entry[]): string {
  const quote = (text: string) =>
    text.replaceAll("'", "'\\''").replaceAll('[', '\\[').replaceAll(']', '\\]').replaceAll(':', '\\:')
  const cases = entries.map(({ name, commands, options }) => {
    const own = commands.length > 0 ? [`'1:command:(${commands.join(' ')})'`] : []
    const specs = options.map(({ flag, about, file }) => `'*${flag}[${quote(about)}]${file ? ':file:_files' : ''}'`)
    const shells = name === 'completion' ? [`'1:shell:(${SHELLS.join(' ')})'`] : []
    return `      ${name}) _arguments ${[...own, ...specs, ...shells, "'--help[show help]'"].join(' ')} ;;`
  })
  return `#compdef atmo
_atmo() {
  local -a commands=(${entries.map(({ name, about }) => `'${name}:${quote(about)}'`).join(' ')})
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
  const lines = entries.flatMap(({ name, about, commands, options }) => [
    `complete -c atmo -f -n __fish_use_subcommand -a ${name} -d ${quote(about)}`,
    ...commands.map((own) => `complete -c atmo -f -n '__fish_seen_subcommand_from ${name}' -a ${own}`),
    ...options.map(
      ({ flag, about: what, file }) =>
        `complete -c atmo -n '__fish_seen_subcommand_from ${name}' -l ${flag.slice(2)} -d ${quote(what)}${file ? ' -rF' : ''}`
    )
  ])
  return `# fish completion for atmo\n${lines.join('\n')}\ncomplete -c atmo -f -n '__fish_seen_subcommand_from completion' -a '${SHELLS.join(' ')}'\n`
}
