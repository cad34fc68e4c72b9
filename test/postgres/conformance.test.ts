// PostgreSQL's row of the suite that every protocol passes.
import { after, before } from 'node:test'
import { conformance, type Kit, ROWS, ROWS_MAX, type Subject } from '../../src/protocols/conformance.ts'
import { readerOf } from '../../src/wire/reader.ts'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'
import * as m from './client.ts'
import { openTestSession } from './session.ts'

let server: TestServer
before(async () => {
  server = await startPostgres({ version: SUITE_VERSIONS.at(-1)! })
  await server.sql(`CREATE TABLE people(id int, name text); INSERT INTO people VALUES (1, 'SECRET'); CREATE TABLE kept(id int); INSERT INTO kept SELECT g FROM generate_series(1, 9) g; CREATE TABLE t(id int); INSERT INTO t SELECT g FROM generate_series(1, ${ROWS}) g`)
})
after(async () => { await server.stop() })

const policies = (bound: 'review' | 'deny') => `policies: [{ name: p, who: { any: true }, on: { resources: [r] }, allow: [session, read, write, admin],
  deny: [{ name: no-drop, operations: [sql.drop] }${bound === 'deny' ? `, { name: many, rows: ${ROWS_MAX} }` : ''}],
  review: [{ name: look, operations: [sql.delete], reviewers: { groups: [sam] } }${bound === 'review' ? `, { name: many, rows: ${ROWS_MAX}, reviewers: { groups: [sam] } }` : ''}],
  mask: [{ fields: [public.people.name], with: redact }] }]\n`
const NOTHING = 'policies: [{ name: p, who: { any: true }, on: { resources: [r] }, allow: [session] }]\n'

async function open(bound: 'review' | 'deny'): Promise<Subject> {
  const s = await openTestSession(server, { policies: policies(bound) })
  let answers = 0, from = 0
  const received: Buffer[] = []
  s.client.stream.on('data', (chunk: Buffer) => { received.push(Buffer.from(chunk)) })
  // What reads the names of the catalog is Sluice's own, and comes first.
  await s.client.ask([m.query('SELECT 0')])
  answers = 1
  from = s.client.seen.length
  s.record.length = 0
  return {
    send(bytes) { s.client.send(bytes) },
    async answered() {
      await s.client.ready(++answers, 20_000)
      const seen = s.client.seen.slice(from)
      from = s.client.seen.length
      const error = seen.find((x) => x.type === 'E')
      return { rows: seen.filter((x) => x.type === 'D').map((x) => x.body.toString('latin1')), refusal: error === undefined ? null : Object.values(m.fields(error)).join(' ') }
    },
    rowsSoFar: () => s.client.count('D'),
    received: () => Buffer.concat(received),
    reached: () => Buffer.concat(s.tap.splice(0)),
    record: s.record,
    waiting: s.waiting,
    cancel() { s.relay.cancelled() },
    leave() { s.client.stream.end() },
    kill(why) { s.session.end(why) },
    revoke() { s.repolicy(NOTHING) },
    serverSays(bytes) { const reader = readerOf(s.upstream.socket); if (reader?.sink == null) s.upstream.socket.emit('data', bytes); else reader.sink(bytes) },
    over: s.over,
    close: () => s.end(),
  }
}
const requests: Kit['requests'] = {
  read: m.query('SELECT 1 -- MARK'), denied: m.query('DROP TABLE kept -- MARK'), reviewed: m.query('DELETE FROM kept WHERE id = (SELECT min(id) FROM kept) -- MARK'), many: m.query('SELECT id FROM t -- MARK'),
  masked: m.query('SELECT name FROM people -- MARK'), malformed: m.raw('?', Buffer.from('MARK')), goodBye: m.terminate(),
}
conformance({ protocol: 'PostgreSQL', requests, hostileAnswer: m.raw('V', Buffer.from('not asked for')), open, changed: async () => 9 - Number((await server.sql('SELECT count(*) FROM kept')).rows[0].count) })
