// What the guard changes on its own, without any mask.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Guard, type Hiding } from './guard.ts'

const notification = (pid: number) => {
  const body = Buffer.concat([Buffer.alloc(4), Buffer.from('channel\0payload\0')])
  body.writeUInt32BE(pid)
  const head = Buffer.from('A\0\0\0\0')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}
const sender = (guard: Guard, pid: number) => { const message = notification(pid); return (guard.notification(message, 0, message.length) ?? message).readUInt32BE(5) }

test('a client knows its own notifications by the number it was given with its cancel key, and takes no other\'s for them', () => {
  for (const active of [false, true]) {
    const guard = new Guard({ active, text: (value: string) => value } as Hiding, null)
    assert.equal(sender(guard, 77), 77)
    guard.process = { server: 77, told: 65_537 }
    assert.equal(sender(guard, 77), 65_537)
    assert.equal(sender(guard, 78), 78)
    assert.equal(sender(guard, 65_537), 0)
  }
})
