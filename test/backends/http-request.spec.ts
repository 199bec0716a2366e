import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { httpRequest } from '../../src/backends/http-request.ts'
import type { HttpRequest } from '../../src/backends/http-request.ts'
import { isMeshError } from '../../src/errors.ts'
import type { ErrorCode } from '../../src/errors.ts'

describe('HTTP requests of backends', () => {
  const signal = new AbortController().signal
  const server = createServer((incoming, outgoing) => void answer(incoming, outgoing))
  let answer: (incoming: IncomingMessage, outgoing: ServerResponse) => void | Promise<void>
  let url: string
  before(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  })
  after(() => {
    server.close()
    server.closeAllConnections()
  })
  const ask = (asked: Partial<HttpRequest> = {}) => httpRequest(url, { signal, ...asked })
  const read = async ({ body }: { body: AsyncIterable<Uint8Array> }): Promise<string> => {
    const pieces: Uint8Array[] = []
    for await (const piece of body) pieces.push(piece)
    return Buffer.concat(pieces).toString()
  }
  const is = (code: ErrorCode, message: RegExp) => (error: unknown) =>
    isMeshError(error, code) && message.test((error as Error).message)

  it('sends text and forms whole, and gives status, headers and body', async () => {
    const seen: string[] = []
    answer = async (incoming, outgoing) => {
      const body = (await buffer(incoming)).toString()
      seen.push(`${incoming.method} ${incoming.headers['content-type']?.split(';')[0]} ${incoming.headers['content-length']}`)
      assert.equal(Number(incoming.headers['content-length'] ?? 0), Buffer.byteLength(body))
      outgoing.writeHead(302, { location: '/elsewhere', 'x-a': 'ä' }).end(body)
    }
    const { status, ok, headers, ...rest } = await ask({
      method: 'POST',
      body: 'größe',
      headers: { 'content-type': 'text/plain' }
    })
    assert.deepEqual([status, ok, headers.get('location'), await read(rest)], [302, false, '/elsewhere', 'größe'])
    const form = new FormData()
    form.set('file', new Blob(['x'.repeat(100_000)]), 'a.wav')
    const sent = await read(await ask({ method: 'POST', body: form }))
    assert.ok(sent.includes('filename="a.wav"') && sent.includes(`${'x'.repeat(100_000)}\r\n--`))
    assert.equal(await read(await ask()), '')
    assert.match(seen.join(), /^POST text\/plain 7,POST multipart\/form-data \d+,GET undefined undefined$/)
  })

  it('gives up a server that does not begin to answer, or stops in the middle', async () => {
    answer = () => {}
    await assert.rejects(ask({ times: { firstByteMs: 10 } }), is('deadline_exceeded', /not begun to answer within 10 ms/))
    answer = (_, outgoing) => void outgoing.writeHead(200).write('begun')
    const begun = await ask({ times: { firstByteMs: 10_000, idleMs: 10 } })
    await assert.rejects(read(begun), is('deadline_exceeded', /nothing for 10 ms/))
  })

  it('does not count the time that its reader takes', async () => {
    const times = { idleMs: 50 }
    let more = (): unknown => assert.fail()
    answer = (_, outgoing) => {
      more = () => outgoing.write('two')
      outgoing.writeHead(200).write('one')
    }
    const { body } = await ask({ times })
    const pieces = body[Symbol.asyncIterator]()
    await pieces.next()
    more()
    answer = (_, outgoing) => outgoing.writeHead(200).flushHeaders()
    // One that began later has used up the same time by then.
    await assert.rejects(read(await ask({ times })), is('deadline_exceeded', /nothing for 50 ms/))
    assert.equal(Buffer.from((await pieces.next()).value as Uint8Array).toString(), 'two')
    await assert.rejects(pieces.next(), is('deadline_exceeded', /nothing for 50 ms/))
  })

  it('gives up a server that takes no connection', async () => {
    const sockets = new Set<Socket>()
    const silent = createTcpServer((socket) => void sockets.add(socket.on('error', () => {})))
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    // TLS never begins.
    const address = `https://127.0.0.1:${(silent.address() as AddressInfo).port}/`
    await assert.rejects(
      httpRequest(address, { signal, times: { connectMs: 10 } }),
      is('unavailable', /no connection within 10 ms/)
    )
    for (const socket of sockets) socket.destroy()
    silent.close()
  })

  it('an answer that is cut is not taken for a whole one', async () => {
    answer = (_, outgoing) => {
      outgoing.writeHead(200, { 'content-length': '10' }).write('half', () => outgoing.destroy())
    }
    await assert.rejects(read(await ask()))
  })

  it('ends when its signal does, before and during the answer, and the server sees it', async () => {
    for (const early of [true, false]) {
      const closed = new Promise<void>((resolve) => {
        answer = (_, outgoing) => {
          outgoing.once('close', resolve)
          if (early) abort.abort()
          else outgoing.writeHead(200).write('begun')
        }
      })
      const abort = new AbortController()
      const ended = ask({ signal: abort.signal }).then((begun) => {
        abort.abort()
        return read(begun)
      })
      await assert.rejects(ended, is('cancelled', /./))
      await closed
    }
    await assert.rejects(ask({ signal: AbortSignal.abort() }), is('cancelled', /./))
  })

  it('who leaves an answer ends its connection', async () => {
    for (const leave of [
      async (body: AsyncIterable<Uint8Array>) => {
        for await (const _ of body) break
      },
      undefined
    ]) {
      const closed = new Promise<void>((resolve) => {
        answer = (_, outgoing) => void outgoing.once('close', resolve).writeHead(200).write('endless')
      })
      const { body, cancel } = await ask()
      if (leave === undefined) cancel()
      else await leave(body)
      await closed
    }
  })

  describe('of what may be done twice', () => {
    const repeatable = { method: 'POST', body: 'x', mayRepeat: true } as const
    let connections: number
    let asked: number
    const count = (): void => void connections++
    before(() => server.on('connection', count))
    after(() => server.off('connection', count))
    beforeEach(async () => {
      server.closeAllConnections()
      ;[connections, asked] = [0, 0]
      answer = async (incoming, outgoing) => {
        asked++
        outgoing.end(await buffer(incoming))
      }
      // The first may meet what an earlier test has left, which is closed now; the second leaves a connection in any case.
      for (let n = 0; n < 2; n++) await read(await ask(repeatable))
      ;[connections, asked] = [0, 0]
    })

    it('use the connection that an earlier one has left, and no others do', async () => {
      for (let n = 0; n < 3; n++) assert.equal(await read(await ask({ ...repeatable, times: { firstByteMs: 10_000 } })), 'x')
      assert.deepEqual([connections, asked], [0, 3])
      await read(await ask({ ...repeatable, mayRepeat: false }))
      assert.equal(connections, 1)
    })

    it('are sent again where the server has closed that connection, once, and over one of their own', async () => {
      answer = (_, outgoing) => {
        asked++
        outgoing.destroy()
      }
      await assert.rejects(ask(repeatable))
      assert.deepEqual([connections, asked], [1, 2])
      // One that is new was not closed meanwhile.
      await assert.rejects(ask(repeatable))
      assert.deepEqual([connections, asked], [2, 3])
    })

    it('are not sent again once their answer has begun, nor when they are called off', async () => {
      answer = (_, outgoing) => {
        asked++
        outgoing.writeHead(200, { 'content-length': '10' }).write('half', () => outgoing.destroy())
      }
      await assert.rejects(read(await ask(repeatable)))
      assert.deepEqual([connections, asked], [0, 1])
      const abort = new AbortController()
      answer = () => {
        asked++
        abort.abort()
      }
      await assert.rejects(ask({ ...repeatable, signal: abort.signal }), is('cancelled', /./))
      assert.equal(asked, 2)
    })

    it('leave the connection to others when all that matters was read, if the end of the answer comes soon', async () => {
      for (const ends of [true, false]) {
        const closed = new Promise<void>((resolve) => {
          answer = (_, outgoing) => {
            outgoing.once('close', resolve).write('all that matters')
            if (ends) outgoing.end()
          }
        })
        const { body, complete } = await ask(repeatable)
        for await (const _ of body) {
          complete()
          break
        }
        await closed
        answer = (_, outgoing) => void outgoing.end()
        // What comes over another connection, comes after the end over the first.
        await read(await ask())
        connections = 0
        await read(await ask(repeatable))
        assert.equal(connections, ends ? 0 : 1)
      }
    })
  })

  it('takes no address with a password, and no header that cannot be', async () => {
    await assert.rejects(httpRequest('http://u:p@127.0.0.1/', { signal }), TypeError)
    await assert.rejects(httpRequest('nonsense', { signal }), TypeError)
    await assert.rejects(ask({ headers: { authorization: 'Bearer a\nb' } }), TypeError)
  })
})
