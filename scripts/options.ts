/** Options of the scripts. */

/**
 * What of the arguments after the first is no option that is known, or lacks its value; undefined if all is well.
 * @param flags those without a value. @param valued those with one.
 */
export function wrongOption(args: readonly string[], flags: readonly string[], valued: readonly string[]): string | undefined {
  for (let n = 0; n < args.length; n++) {
    const given = args[n]!
    const name = given.startsWith('--') ? given.slice(2) : undefined
    if (name !== undefined && flags.includes(name)) continue
    if (name === undefined || !valued.includes(name))
      return `unknown option ${given}; known are: ${[...flags, ...valued].map((one) => `--${one}`).join(', ')}`
    const value = args[++n]
    if (value === undefined || value.startsWith('--')) return `option ${given} needs a value`
  }
  return undefined
}
