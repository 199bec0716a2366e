/** Why a node cannot listen, out of what libp2p says of it. */
import { LISTENABLE } from './config-addresses.ts'
import { MeshError } from './errors.ts'

/** As of libp2p 3.3.11 the causes are nowhere but in the message: `  ADDRESS: NAME: MESSAGE`, each with its stack. */
const FAILED = /^ {2}(\/\S+): (.*)$/gm

const HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program uses it; choose another with --listen',
  EADDRNOTAVAIL: 'it is no address of this machine; choose another with --listen',
  EACCES: 'this user may not use the port; choose one from 1024 up with --listen'
}

/** `conflict` if an address is taken, `invalid_config` if it cannot be listened on; undefined if `error` is about something else. */
export function listenError(error: unknown): MeshError | undefined {
  if (!(error instanceof Error) || error.name !== 'UnsupportedListenAddressesError') return undefined
  const failed = [...error.message.matchAll(FAILED)].map(([, address = '', reason = '']) => {
    const code = /\bE[A-Z]{3,}\b/.exec(reason)?.[0]
    return { address, code, text: (code && (HINTS[code] ?? code)) || LISTENABLE }
  })
  const worst = failed.find(({ code }) => code === 'EADDRINUSE') ?? failed[0]
  if (worst === undefined) return new MeshError('invalid_config', 'cannot listen on any of the addresses', {}, { cause: error })
  const { address, code, text } = worst
  return new MeshError(
    code === 'EADDRINUSE' ? 'conflict' : 'invalid_config',
    `cannot listen on ${address}: ${text}`,
    { listen: address },
    { cause: error }
  )
}
