/**
 * Supplies the two things that libp2p 3 needs and Node 20 lacks. Import it before anything of libp2p.
 * Goes when the floor rises to Node 22, which has both.
 */
import { createRequire } from 'node:module'

if (!('withResolvers' in Promise)) {
  Object.defineProperty(Promise, 'withResolvers', {
    configurable: true,
    writable: true,
    value: function withResolvers<T>(this: PromiseConstructor) {
      let resolve!: (value: T | PromiseLike<T>) => void
      let reject!: (reason?: unknown) => void
      const promise = new this<T>((accept, refuse) => {
        resolve = accept
        reject = refuse
      })
      return { promise, resolve, reject }
    }
  })
}

/** One of `ws` ends the process if nobody listens when a server breaks the protocol, from the first bytes on; that of the standard does not. */
const constructHeard = (target: typeof globalThis.WebSocket, args: unknown[], newTarget: () => unknown): WebSocket => {
  const socket = Reflect.construct(target, args, newTarget) as WebSocket
  socket.addEventListener('error', () => undefined)
  return socket
}

if (typeof globalThis.WebSocket === 'undefined') {
  // Lazy: `ws` comes with @libp2p/websockets, and loading it costs time that a node without ws addresses never owes.
  const define = (value: unknown): unknown => {
    Object.defineProperty(globalThis, 'WebSocket', { configurable: true, writable: true, value })
    return value
  }
  Object.defineProperty(globalThis, 'WebSocket', {
    configurable: true,
    get: () => {
      try {
        // From where it is a dependency: this package does not install it, @libp2p/websockets does.
        const load = createRequire(import.meta.resolve('@libp2p/websockets'))
        const { WebSocket } = load('ws') as { WebSocket: typeof globalThis.WebSocket }
        return define(new Proxy(WebSocket, { construct: constructHeard }))
      } catch {
        return define(undefined)
      }
    },
    set: define
  })
}
