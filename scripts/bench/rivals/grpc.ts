import { credentials, makeGenericClientConstructor, Server, ServerCredentials } from '@grpc/grpc-js'
import type { MethodDefinition, ServiceDefinition, UntypedServiceImplementation, Client } from '@grpc/grpc-js'
import protobuf from 'protobufjs'
import type { Rival } from '../rival.ts'

interface Text {
  text: string
}

// What @grpc/proto-loader does with a .proto file, without the file: real protobuf by protobufjs' generated code.
const Message = new protobuf.Type('Text').add(new protobuf.Field('text', 1, 'string'))
new protobuf.Root().define('bench').add(Message)

const serialize = (value: Text): Buffer => Message.encode(value).finish() as Buffer
const deserialize = (bytes: Buffer): Text => Message.decode(bytes) as unknown as Text

const echo: MethodDefinition<Text, Text> = {
  path: '/bench.Bench/Echo',
  requestStream: false,
  responseStream: false,
  requestSerialize: serialize,
  requestDeserialize: deserialize,
  responseSerialize: serialize,
  responseDeserialize: deserialize
}
const service: ServiceDefinition = { Echo: echo }

type EchoClient = Client & { Echo(request: Text, done: (error: Error | null, reply: Text) => void): void }

/** gRPC as most Node programs have it: `@grpc/grpc-js`, one channel, unary calls, protobuf, no TLS. */
export const grpc: Rival = {
  name: 'grpc',
  settings: '@grpc/grpc-js unary, one channel, protobuf by protobufjs, clear text, defaults',
  async serve() {
    const server = new Server()
    const implementation: UntypedServiceImplementation = {
      Echo: (call: { request: Text }, done: (error: null, reply: Text) => void) => done(null, { text: call.request.text })
    }
    server.addService(service, implementation)
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound)
      )
    )
    return {
      address: String(port),
      async stop() {
        server.forceShutdown()
      }
    }
  },
  async connect(address) {
    const Constructor = makeGenericClientConstructor(service, 'Bench')
    const client = new Constructor(`127.0.0.1:${address}`, credentials.createInsecure()) as unknown as EchoClient
    await new Promise<void>((resolve, reject) =>
      client.waitForReady(Date.now() + 5_000, (error) => (error ? reject(error) : resolve()))
    )
    return {
      call: (text) =>
        new Promise((resolve, reject) => client.Echo({ text }, (error, reply) => (error ? reject(error) : resolve(reply.text)))),
      async stop() {
        client.close()
      }
    }
  }
}
