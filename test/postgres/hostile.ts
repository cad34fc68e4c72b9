// Hostile bytes in both directions: valid conversations with bytes changed, cut, doubled and made up. Whatever comes, only that session ends,
// nothing refused reaches the server, and nothing takes longer than a moment.
import assert from 'node:assert/strict'
import { connect, createServer, type Server } from 'node:net'
import { SluiceError } from '../../src/core/errors.ts'
import type { TestServer } from '../servers/postgres.ts'
import * as m from './client.ts'
import { type Random, random, steps } from './conversations.ts'
import { MemoryShelf, openTestSession, type TestSession } from './session.ts'

/** Longest that one chunk should hold up everyone else; on a machine shared with other suites ten times that fails the test. */
const BLOCKED_MS_MAX = Number(process.env.SLUICE_BLOCKED_MS ?? 100)
/** A garbled conversation may leave both sides waiting: that is no fault, but not a reason to wait. */
const QUIET_MS = 12
export interface Fuzzed { readonly sessions: number; readonly ended: number; readonly slowestMs: number }

function mutated(bytes: Buffer, r: Random): Buffer {
  let made: Buffer = Buffer.from(bytes)
  for (let times = 1 + r(3); times > 0 && made.length > 8; times--) {
    const at = r(made.length)
    switch (r(9)) {
      case 0: made[at] = r(256); break
      case 1: made[at] = made[at]! ^ (1 << r(8)); break
      case 2: made = Buffer.concat([made.subarray(0, at), made.subarray(Math.min(made.length, at + 1 + r(20)))]); break
      case 3: made = Buffer.concat([made.subarray(0, at), made.subarray(at, at + r(60)), made.subarray(at)]); break
      case 4: made = Buffer.concat([made.subarray(0, at), Buffer.from(Array.from({ length: 1 + r(12) }, () => r(256))), made.subarray(at)]); break
      case 5: if (at + 4 <= made.length) made.writeUInt32BE([0, 3, 4, 5, 0x7fffffff, 0xffffffff, 0x80000000, 70_000][r(8)]!, at); break
      case 6: made = inMessage(made, r); break
      case 7: { const whole = [m.raw('G', Buffer.from([0, 0, 1, 0, 0])), m.raw('W', Buffer.from([0, 0, 0])), m.raw('D', Buffer.from([0xff, 0xff])), m.raw('T', Buffer.from([0x7f, 0xff])), m.raw('Z', Buffer.from('T')), m.raw('R', Buffer.alloc(4)), m.raw('V', Buffer.alloc(4)), m.raw('1'), m.raw('s'), m.raw('I'), m.raw('C', Buffer.from('SELECT 1\0')), m.raw('E', Buffer.from('SERROR')), m.raw('H', Buffer.from([0, 0xff, 0xff])), m.raw('d', Buffer.from('x')), m.raw('F', Buffer.alloc(8)), m.raw('K', Buffer.alloc(8))]; made = between(made, whole[r(whole.length)]!, r); break }
      default: made = made.subarray(0, at)
    }
  }
  return made
}
/** Starts of whole messages. */
function starts(bytes: Buffer): number[] {
  const found: number[] = []
  for (let at = 0; at + 5 <= bytes.length; at += 1 + bytes.readUInt32BE(at + 1)) found.push(at)
  return found
}
function between(bytes: Buffer, what: Buffer, r: Random): Buffer {
  const all = starts(bytes)
  const at = all[r(all.length)] ?? 0
  return Buffer.concat([bytes.subarray(0, at), what, bytes.subarray(at)])
}
/** Another type or body of one message whose length stays true. */
function inMessage(bytes: Buffer, r: Random): Buffer {
  const all = starts(bytes)
  const at = all[r(all.length)] ?? 0
  const made = Buffer.from(bytes)
  if (r(2) === 0) made[at] = 'QPBDECSHXFdcfGTZ123tnsIANK'.charCodeAt(r(26))
  else if (made.length > at + 6) made[at + 5 + r(Math.min(12, made.length - at - 5))] = r(256)
  return made
}

const POLICIES = `policies: [{ name: p, who: { any: true }, on: { resources: [r] }, allow: [session, read, write, admin], deny: [{ name: no-drop, operations: [sql.drop] }], mask: [{ fields: [public.t.name], with: redact }, { detect: [us-ssn], with: redact }] }]\n`
export async function fuzz(server: TestServer, database: string, direction: 'client' | 'server', seconds: number, seed: number, say: (text: string) => void): Promise<Fuzzed> {
  const shelf = new MemoryShelf()
  const until = Date.now() + seconds * 1_000
  let sessions = 0, ended = 0, slowestMs = 0
  const proxy = direction === 'server' ? await garbler(server.port) : null
  try {
    for (let number = 0; Date.now() < until; number++) {
      const r = random(seed + number)
      const list = [...steps(r, 4 + r(8)).map((step) => step.bytes), m.query('DROP TABLE t -- DENIED')]
      const valid = Buffer.concat(list)
      if (process.env.SLUICE_LOUD) say(`${direction} ${number}`)
      const s: TestSession = await openTestSession({ port: proxy?.port ?? server.port }, { policies: POLICIES, database, shelf })
      sessions++
      let over = false
      void s.over.then(() => { over = true })
      const bytes = direction === 'client' ? mutated(valid, r) : valid
      if (proxy !== null) proxy.change = (chunk) => (r(3) === 0 ? mutated(chunk, r) : chunk)
      for (let at = 0; at < bytes.length;) {
        const size = 1 + r(bytes.length)
        slowestMs = Math.max(slowestMs, timed(() => { if (!over) s.client.send(bytes.subarray(at, at + size)) }))
        at += size
        slowestMs = Math.max(slowestMs, await turn())
      }
      for (let quiet = 0, seen = -1; quiet < QUIET_MS && !over; quiet++) { if (s.client.bytes !== seen) { quiet = 0; seen = s.client.bytes } await new Promise((later) => setTimeout(later, 1)) }
      if (over) ended++
      for (const failure of s.failures) {
        if (!(failure instanceof SluiceError)) throw new Error(`seed ${seed} number ${number}: not a refusal but a fault: ${(failure as Error).stack}`)
      }
      assert.ok(!Buffer.concat(s.tap).includes('DROP TABLE t -- DENIED'), `seed ${seed} number ${number}: a denied text reached the server`)
      await s.end()
    }
  } finally { proxy?.server.close() }
  assert.ok(slowestMs <= BLOCKED_MS_MAX * 10, `one chunk held up everyone for ${slowestMs} ms`)
  say(`${direction}: ${sessions} sessions, ${ended} ended early, slowest turn ${slowestMs.toFixed(0)} ms, seed ${seed}`)
  return { sessions, ended, slowestMs }
}
function timed(step: () => void): number { const from = performance.now(); step(); return performance.now() - from }
async function turn(): Promise<number> { const from = performance.now(); await new Promise((later) => setImmediate(later)); return performance.now() - from }

/** Passes everything on, and what the server says after login as `change` has it. */
async function garbler(port: number): Promise<{ server: Server; port: number; change: (chunk: Buffer) => Buffer }> {
  const made = { server: createServer(), port: 0, change: (chunk: Buffer) => chunk }
  made.server.on('connection', (client) => {
    const upstream = connect(port, '127.0.0.1')
    let loggedIn = false
    client.on('error', () => {})
    upstream.on('error', () => {})
    client.on('data', (chunk: Buffer) => { upstream.write(chunk) })
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.destroy())
    upstream.on('data', (chunk: Buffer) => {
      if (!loggedIn) { client.write(chunk); loggedIn = chunk.subarray(-6).equals(Buffer.from([0x5a, 0, 0, 0, 5, 0x49])); return }
      client.write(made.change(chunk))
    })
  })
  await new Promise<void>((ready) => made.server.listen(0, '127.0.0.1', ready))
  made.port = (made.server.address() as { port: number }).port
  return made
}
