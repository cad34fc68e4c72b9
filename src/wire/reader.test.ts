import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, test } from 'node:test'
import { readable, readerOf } from './reader.ts'

let server: Server, accepted: Promise<Socket>, client: Socket
beforeEach(async () => {
  server = createServer()
  accepted = once(server, 'connection').then(([socket]) => socket as Socket)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(client, 'connect')
})
afterEach(() => { client.destroy(); server.close() })

/** Everything that comes, as the relay takes it: unread bytes as data, the rest into the sink. */
function taken(socket: Socket): { text: () => string; bytes: () => number; largest: () => number } {
  const parts: Buffer[] = []
  let largest = 0
  const take = (bytes: Buffer) => { parts.push(Buffer.from(bytes)); largest = Math.max(largest, bytes.length) }
  socket.on('data', take)
  readerOf(socket)!.sink = (bytes) => { take(bytes); return true }
  return { text: () => Buffer.concat(parts).toString(), bytes: () => parts.reduce((sum, part) => sum + part.length, 0), largest: () => largest }
}

test('an accepted socket is handed over: unread bytes first, then all that comes, then its end; the server counts it out', async () => {
  const old = await accepted
  client.write('one ')
  await once(old, 'readable')
  const socket = readable(old)
  assert.notEqual(socket, old)
  assert.equal(socket.remoteAddress, '127.0.0.1')
  client.write('two ')
  await new Promise((later) => setTimeout(later, 20))
  const found = taken(socket)
  socket.resume()
  socket.write('back')
  const [answer] = await once(client, 'data') as [Buffer]
  assert.equal(answer.toString(), 'back')
  client.end('three')
  await once(socket, 'end')
  assert.equal(found.text(), 'one two three')
  server.close()
  await once(server, 'close')
})

test('it pauses and goes on; reads grow while there is much and shrink again', async () => {
  const socket = readable(await accepted)
  const found = taken(socket)
  socket.resume()
  const much = Buffer.alloc(4 * 1024 * 1024, 0x61)
  client.write(much)
  while (found.bytes() === 0) await new Promise((later) => setImmediate(later))
  socket.pause()
  await new Promise((later) => setTimeout(later, 50))
  const before = found.bytes()
  await new Promise((later) => setTimeout(later, 50))
  assert.equal(found.bytes(), before, 'nothing is read while it is paused')
  assert.ok(before < much.length)
  socket.resume()
  while (found.bytes() < much.length) await new Promise((later) => setTimeout(later, 5))
  assert.ok(found.largest() > 8 * 1024, `reads of ${found.largest()} bytes`)
  for (let i = 0; i < 4; i++) { client.write('x'); while (found.bytes() < much.length + i + 1) await new Promise((later) => setImmediate(later)) }
  assert.ok(found.text().endsWith('xxxx'))
  socket.destroy()
  await once(client, 'close')
})

test('a client that has left is left as it is, and one that resets ends the socket', async () => {
  const old = await accepted
  const socket = readable(old)
  socket.on('error', () => {})
  socket.resume()
  const closed = new Promise((later) => socket.once('close', later))
  client.resetAndDestroy()
  await closed
  assert.equal(readable(socket), socket)
  server.close()
})
