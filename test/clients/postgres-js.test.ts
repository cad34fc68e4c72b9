// postgres.js and Drizzle on top of it: it pipelines, prepares every statement, fetches types at the start, and streams COPY and cursors.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { after, before, test } from 'node:test'
import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/postgres-js'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import postgres from 'postgres'
import { ORDERS, type Shop, type Stage, startStage } from './stage.ts'

let stage: Stage
before(async () => { stage = await startStage() })
after(async () => { await stage?.stop() })

type Options = postgres.Options<Record<string, never>>
const connect = (shop: Shop, changed: Options = {}): postgres.Sql => postgres({ host: '127.0.0.1', port: stage.gateway.port, database: shop.name, username: 'someone', password: stage.tokens.agents, ssl: { ca: readFileSync(stage.ca, 'utf8') }, onnotice: () => {}, ...changed })
async function everyShop(body: (db: postgres.Sql, shop: Shop) => Promise<void>, changed: Options = {}): Promise<void> {
  for (const shop of stage.shops) {
    const db = connect(shop, changed)
    try { await body(db, shop) } finally { await db.end() }
  }
}
const refused = { code: '42501', message: /refused by Sluice: rule "agents\/no-ddl"/, detail: /migrations/ }

test('masked rows, NULLs and arrays arrive as types', async () => {
  await everyShop(async (db) => {
    assert.deepEqual([...await db`SELECT id, ssn, card_number, notes, ARRAY['vip', 'two words'] AS tags, ARRAY[1, 2] AS numbers, document, photo, active FROM customers WHERE id IN ${db([1, 3])} ORDER BY id`], [
      { id: 1, ssn: '[hidden]', card_number: '[hidden]', notes: 'call after six', tags: ['vip', 'two words'], numbers: [1, 2], document: { a: [1, null] }, photo: Buffer.from([0, 255]), active: true },
      { id: 3, ssn: null, card_number: null, notes: null, tags: ['vip', 'two words'], numbers: [1, 2], document: null, photo: null, active: null },
    ])
    const { columns, statement } = await db`SELECT id, ssn FROM customers WHERE id = ${1}`.describe().then((described) => ({ columns: described.columns.map(({ name }) => name), statement: described.types }))
    assert.deepEqual([columns, statement], [['id', 'ssn'], [23]])
  })
})

test('a pipeline on one connection keeps its order over refusals and errors', async () => {
  await everyShop(async (db) => {
    const find = (id: number) => db`SELECT id, ssn FROM customers WHERE id = ${id}`
    const settled = await Promise.allSettled([find(1), db`DROP TABLE orders`, find(3), db`SELECT 1 / ${0}::int AS x`, find(1), db.unsafe('TRUNCATE orders; SELECT 1'), db`SELECT ${'last'} AS word`, ...Array.from({ length: 300 }, (_, i) => db`SELECT ${i}::int AS i`)])
    assert.deepEqual(settled.slice(0, 7).map((one) => (one.status === 'fulfilled' ? [...one.value] : (one.reason as postgres.PostgresError).code)), [[{ id: 1, ssn: '[hidden]' }], '42501', [{ id: 3, ssn: null }], '22012', [{ id: 1, ssn: '[hidden]' }], '42501', [{ word: 'last' }]])
    assert.deepEqual(settled.slice(7).map((one) => one.status === 'fulfilled' && one.value[0]!.i), Array.from({ length: 300 }, (_, i) => i))
  }, { max: 1 })
})

test('a refusal is an ordinary error, in a transaction and in a savepoint too', async () => {
  await everyShop(async (db) => {
    await assert.rejects(db`DROP TABLE orders`, refused)
    await assert.rejects(db.begin(async (tx) => { await tx`INSERT INTO jottings ${tx({ body: 'undone' })}`; await tx`DROP TABLE orders` }), refused)
    await db.begin('isolation level serializable', async (tx) => {
      await tx`INSERT INTO jottings ${tx([{ body: 'a' }, { body: 'b' }])}`
      await assert.rejects(tx.savepoint((inner) => inner`TRUNCATE orders`), refused)
      await tx`UPDATE jottings SET body = ${'c'} WHERE body = ${'b'}`
    })
    assert.deepEqual([...await db`DELETE FROM jottings WHERE body IN ('a', 'b', 'c', 'undone') RETURNING body`].map(({ body }) => body).sort(), ['a', 'c'])
  })
})

test('unprepared statements, several in one text, and a large result', async () => {
  await everyShop(async (db) => {
    assert.equal((await db`SELECT * FROM orders`).length, ORDERS)
    const both = await db.unsafe('SELECT 1 AS one; SELECT ssn FROM customers WHERE id = 1')
    assert.deepEqual(both.map((rows) => [...rows as unknown as object[]]), [[{ one: 1 }], [{ ssn: '[hidden]' }]])
    assert.deepEqual([...await db`SELECT id FROM customers WHERE id = ${2}`], [{ id: 2 }])
  }, { prepare: false, fetch_types: false })
})

test('cursors and forEach read in pieces', async () => {
  await everyShop(async (db) => {
    let rows = 0, pieces = 0
    for await (const piece of db`SELECT o.id, ssn FROM orders o JOIN customers c ON c.id = customer_id`.cursor(1_500)) { rows += piece.length; pieces++; assert.ok(piece.every(({ ssn }) => ssn === null || ssn === '[hidden]')) }
    assert.deepEqual([rows, pieces], [ORDERS, Math.ceil(ORDERS / 1_500)])
    let first = 0
    for await (const [row] of db`SELECT id FROM orders ORDER BY id`.cursor()) { first += row!.id; if (row!.id === 3) break }
    assert.equal(first, 6)
    let each = 0
    await db`SELECT id FROM orders`.forEach(() => { each++ })
    assert.equal(each, ORDERS)
  })
})

test('COPY streams both ways, masked on the way out', async () => {
  await everyShop(async (db) => {
    const chunks: Buffer[] = []
    for await (const chunk of await db`COPY (SELECT id, ssn FROM customers ORDER BY id) TO STDOUT`.readable()) chunks.push(chunk as Buffer)
    assert.equal(Buffer.concat(chunks).toString(), '1\t[hidden]\n2\t[hidden]\n3\t\\N\n')
    await pipeline(Readable.from(Array.from({ length: 1_000 }, (_, i) => `copied ${i}\n`)), await db`COPY jottings(body) FROM STDIN`.writable())
    assert.equal((await db`DELETE FROM jottings WHERE body LIKE 'copied %'`).count, 1_000)
    await assert.rejects(db`COPY orders FROM '/etc/passwd'`, { code: '42501' })
    assert.deepEqual([...await db`SELECT 1 AS one`], [{ one: 1 }])
  }, { max: 1 })
})

test('LISTEN, NOTIFY and cancel', async () => {
  await everyShop(async (db) => {
    const heard = new Promise<string>((done, fail) => { db.listen('news', done).then(() => db.notify('news', 'ssn 123-45-6789'), fail).catch(fail) })
    assert.equal(await heard, 'ssn [hidden]')
    const slow = db`SELECT count(*) FROM orders a, orders b, orders c`.execute()
    setTimeout(() => slow.cancel(), 300)
    await assert.rejects(slow, { code: '57014' })
    assert.deepEqual([...await db`SELECT 1 AS one`], [{ one: 1 }])
  })
})

test('a wrong password and a resource that is not there are told as errors', async () => {
  const shop = stage.shops[0]!
  const attempt = async (changed: Options) => { const db = connect(shop, changed); try { await db`SELECT 1` } finally { await db.end() } }
  await assert.rejects(attempt({ password: 'not a token' }), { code: '28P01' })
  await assert.rejects(attempt({ database: 'nowhere' }), { code: '3D000' })
  await attempt({ ssl: false })
})

test('Drizzle on postgres.js', async () => {
  const customers = pgTable('customers', { id: integer().primaryKey(), ssn: text() })
  await everyShop(async (client) => {
    const db = drizzle({ client })
    assert.deepEqual(await db.select().from(customers).where(eq(customers.id, 1)), [{ id: 1, ssn: '[hidden]' }])
    await db.transaction(async (tx) => { assert.deepEqual(await tx.select().from(customers).where(eq(customers.id, 3)), [{ id: 3, ssn: null }]) })
    await assert.rejects(db.execute('DROP TABLE orders'), (error: Error) => (error.cause as postgres.PostgresError).code === '42501')
  })
})
