import type { ConnectionEncrypter, MessageStream, SecureConnectionOptions } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'

/** What is used of libp2p's message streams beyond their interface; checked before use, since it may change. */
interface DataSender {
  sendData(data: Uint8ArrayList): { sentBytes: number; canSendMore: boolean }
}

/** Makes an encrypter, as libp2p's configuration takes them. */
type EncrypterFactory<C> = (components: C) => ConnectionEncrypter

/**
 * An encrypter whose connections write each message in one piece. Left alone, libp2p writes the yamux header and the data of a frame
 * as two TLS records, and noise its length and its ciphertext apart: twice the system calls of a small call, and they are most of its cost.
 */
export function joinedWrites<C>(create: EncrypterFactory<C>): EncrypterFactory<C> {
  return (components) => {
    const encrypter = create(components)
    const secured =
      (secure: ConnectionEncrypter['secureInbound']) =>
      async (connection: MessageStream, options?: SecureConnectionOptions): ReturnType<typeof secure> => {
        join(connection)
        const result = await secure.call(encrypter, connection, options)
        join(result.connection)
        return result
      }
    return new Proxy(encrypter, {
      get(target, key) {
        if (key === 'secureInbound') return secured(target.secureInbound)
        if (key === 'secureOutbound') return secured(target.secureOutbound)
        return Reflect.get(target, key) as unknown
      }
    })
  }
}

function join(stream: MessageStream): void {
  const sender = stream as Partial<DataSender> & MessageStream
  if (typeof sender.sendData !== 'function') return
  const sendData = sender.sendData.bind(stream)
  sender.sendData = (data) => sendData(new Uint8ArrayList(data.subarray()))
}
