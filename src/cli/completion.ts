import { Argument, type Command } from 'commander'
import { write } from './output.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const

interface Entry {
  name: string
  about: string
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
        options: command.options.flatMap(({ long, description, flags }) =>
          long ? [{ flag: long, about: description, file: /<(file|dir)>/.test(flags) }] : []
        )
      }))
      return write(process.stdout, { bash, zsh, fish }[shell](entries))
    })
}

function bash(entries: Entry[]): string {
  const cases = entries.map(
    ({ name, options }) =>
      `    ${name}) words="${[...options.map(({ flag }) => flag), '--help', ...(name === 'completion' ? SHELLS : [])].join(' ')}" ;;`
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
  const cases = entries.map(({ name, options }) => {
    const specs = options.map(({ flag, about, file }) => `'*${flag}[${quote(about)}]${file ? ':file:_files' : ''}'`)
    const shells = name === 'completion' ? [`'1:shell:(${SHELLS.join(' ')})'`] : []
    return `      ${name}) _arguments ${[...specs, ...shells, "'--help[show help]'"].join(' ')} ;;`
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
  const lines = entries.flatMap(({ name, about, options }) => [
    `complete -c atmo -f -n __fish_use_subcommand -a ${name} -d ${quote(about)}`,
    ...options.map(
      ({ flag, about: what, file }) =>
        `complete -c atmo -n '__fish_seen_subcommand_from ${name}' -l ${flag.slice(2)} -d ${quote(what)}${file ? ' -rF' : ''}`
    )
  ])
  return `# fish completion for atmo\n${lines.join('\n')}\ncomplete -c atmo -f -n '__fish_seen_subcommand_from completion' -a '${SHELLS.join(' ')}'\n`
}
