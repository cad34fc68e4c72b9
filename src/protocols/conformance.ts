// The suite that every protocol passes: what the product promises, whatever the wire. A protocol brings a kit that speaks its wire against
// a real server; nothing of how it does that is known here. Only tests import this file.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

/** What a client got for one request: rows as text, and the words of a refusal or failure. */
export interface Answered { readonly rows: readonly string[]; readonly refusal: string | null }
/** Requests in the protocol's own bytes. Each holds the word MARK somewhere that it need not be altered for. */
export interface Requests {
  /** One row. */
  readonly read: Buffer
  /** Refused by the rule `no-drop`. */
  readonly denied: Buffer
  /** Waits by the rule `look`; what it would do is counted by `changed`. */
  readonly reviewed: Buffer
  /** `ROWS` rows. */
  readonly many: Buffer
  /** One row whose value is SECRET, under a mask. */
  readonly masked: Buffer
  /** Bytes that no client may send. */
  readonly malformed: Buffer
  readonly goodBye: Buffer
}
export interface Subject {
  send(bytes: Buffer): void
  /** The answer to one request that was sent before. */
  answered(): Promise<Answered>
  /** Rows that the client has so far of an answer that has not ended. */
  rowsSoFar(): number
  /** Everything that the client has received. */
  received(): Buffer
  /** Bytes that reached the server since the last call. */
  reached(): Buffer
  readonly record: readonly { readonly kind: string; readonly body: Readonly<Record<string, unknown>> }[]
  readonly waiting: readonly { decide(outcome: 'approve' | 'deny' | 'expire'): void; readonly cancelled: string | null }[]
  /** The client's way to cancel what runs or waits. */
  cancel(): void
  leave(): void
  kill(why: string): void
  /** Replaces the policy with one that allows nothing. */
  revoke(): void
  /** Lets the server have said these bytes. */
  serverSays(bytes: Buffer): void
  readonly over: Promise<string>
  close(): Promise<void>
}
export interface Kit {
  readonly protocol: string
  readonly requests: Requests
  /** Bytes that no server may send. */
  readonly hostileAnswer: Buffer
  /** `review`: a bound waits for a person; otherwise it ends the answer. */
  open(bound: 'review' | 'deny'): Promise<Subject>
  /** How often the reviewed request has taken effect. */
  changed(): Promise<number>
}
export const ROWS = 400
/** Rows that the rule `many` lets pass. */
export const ROWS_MAX = 100
/** How long a test waits for what should come soon, even on a busy machine. */
const PATIENCE_MS = 20_000
const PAUSE_MS = 40

export function conformance(kit: Kit): void {
  const { requests } = kit
  const within = async (body: (s: Subject) => Promise<void>, bound: 'review' | 'deny' = 'review') => {
    const subject = await kit.open(bound)
    try { await body(subject) } finally { await subject.close() }
  }
  const ask = (s: Subject, bytes: Buffer): Promise<Answered> => { s.send(bytes); return s.answered() }
  const works = async (s: Subject) => { assert.equal((await ask(s, requests.read)).rows.length, 1) }
  const clean = (s: Subject) => { assert.equal(s.reached().includes('MARK'), false) }

  describe(`${kit.protocol} keeps what every protocol promises`, () => {
    test('a refusal names its rule and leaves the session usable, and nothing of what was refused reaches the server', () => within(async (s) => {
      await works(s)
      s.reached()
      assert.match((await ask(s, requests.denied)).refusal ?? '', /no-drop/)
      clean(s)
      await works(s)
    }))
    test('what is allowed reaches the server as the same bytes', () => within(async (s) => {
      await works(s)
      s.reached()
      await works(s)
      assert.ok(s.reached().equals(requests.read))
    }))
    test('what waits for a person reaches the server once it is approved, and not before', () => within(async (s) => {
      await works(s)
      for (const [decision, times] of [['deny', 0], ['expire', 0], ['approve', 1]] as const) {
        const before = await kit.changed(), waited = s.waiting.length
        s.reached()
        s.send(requests.reviewed)
        await until(() => s.waiting.length > waited)
        await pause()
        clean(s)
        s.waiting.at(-1)!.decide(decision)
        assert.equal((await s.answered()).refusal === null, decision === 'approve')
        assert.equal(await kit.changed() - before, times)
      }
      await works(s)
    }))
    for (const [name, leave, stays] of [['cancels', (s: Subject) => { s.cancel() }, true], ['says good-bye', (s: Subject) => { s.send(requests.goodBye) }, false], ['is gone', (s: Subject) => { s.leave() }, false]] as const) {
      test(`a client that ${name} while it waits ends the wait, and nothing runs`, () => within(async (s) => {
        const before = await kit.changed()
        s.send(requests.reviewed)
        await until(() => s.waiting.length === 1)
        leave(s)
        await until(() => s.waiting[0]!.cancelled !== null)
        if (stays) assert.notEqual((await s.answered()).refusal, null)
        else await s.over
        clean(s)
        if (stays) await works(s)
        assert.equal(await kit.changed(), before)
      }))
    }
    test('an answer pauses at its bound, and goes on when a person agrees', () => within(async (s) => {
      for (const [decision, rows] of [['approve', ROWS], ['deny', ROWS_MAX]] as const) {
        const waited = s.waiting.length, had = s.rowsSoFar()
        s.send(requests.many)
        await until(() => s.waiting.length > waited)
        await pause()
        assert.equal(s.rowsSoFar() - had, ROWS_MAX)
        s.waiting.at(-1)!.decide(decision)
        const { rows: got, refusal } = await s.answered()
        assert.equal(got.length, rows)
        assert.equal(refusal === null, decision === 'approve')
        await works(s)
      }
    }))
    test('an answer that may not go on ends with a refusal, and the session goes on', () => within(async (s) => {
      const { rows, refusal } = await ask(s, requests.many)
      assert.equal(rows.length, ROWS_MAX)
      assert.match(refusal ?? '', /many/)
      await works(s)
    }, 'deny'))
    test('a mask applies to the answer, and the value is nowhere in what the client received', () => within(async (s) => {
      assert.equal((await ask(s, requests.masked)).rows.length, 1)
      assert.equal(s.received().includes('SECRET'), false)
    }))
    test('what was asked is on record with its verdict before it ends, and all that ran has an end', () => within(async (s) => {
      for (const bytes of [requests.read, requests.denied, requests.masked]) await ask(s, bytes)
      const runs = s.record.filter((e) => e.kind === 'asked')
      assert.equal(runs.length, 3)
      assert.deepEqual(runs.map((e) => e.body.verdict === 'deny'), [false, true, false])
      for (const { body } of runs) {
        const asked = s.record.findIndex((e) => e.kind === 'asked' && e.body.run === body.run), ended = s.record.findIndex((e) => e.kind === 'ended' && e.body.run === body.run)
        if (body.verdict !== 'deny') assert.ok(ended > asked, `run ${String(body.run)}`)
      }
      assert.equal(JSON.stringify(s.record).includes('SECRET'), false)
    }))
    test('a policy taken away holds for the next request', () => within(async (s) => {
      await works(s)
      s.revoke()
      s.reached()
      assert.notEqual((await ask(s, requests.read)).refusal, null)
      clean(s)
    }))
    test('a session that is ended is told why, while idle and while it waits', async () => {
      for (const busy of [false, true]) {
        await within(async (s) => {
          await works(s)
          s.reached()
          if (busy) { s.send(requests.reviewed); await until(() => s.waiting.length === 1) }
          s.kill('the token has expired')
          assert.match(await s.over, /the token has expired/)
          await until(() => s.received().includes('the token has expired'))
          clean(s)
        })
      }
    })
    test('malformed bytes of the client end its session and no other', () => apart((s) => { s.send(requests.malformed) }))
    test('a server that breaks the protocol ends that session and no other', () => apart((s) => { s.serverSays(kit.hostileAnswer) }))
  })

  async function apart(attack: (s: Subject) => void): Promise<void> {
    await within((other) => within(async (s) => {
      await works(s)
      s.reached()
      attack(s)
      await s.over
      assert.equal(s.received().includes(kit.hostileAnswer), false)
      await works(other)
    }))
  }
}

async function until(holds: () => boolean): Promise<void> {
  for (const from = Date.now(); !holds();) {
    if (Date.now() - from > PATIENCE_MS) throw new Error('what should have come did not')
    await new Promise((later) => setTimeout(later, 5))
  }
}
const pause = () => new Promise((later) => setTimeout(later, PAUSE_MS))
