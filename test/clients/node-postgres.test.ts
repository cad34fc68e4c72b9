// node-postgres and Drizzle on top of it: pools, prepared statements, portals read in pieces, LISTEN, cancel, binary, errors.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { boolean, integer, jsonb, numeric, pgTable, serial, text, timestamp } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { type Group, ORDERS, type Shop, type Stage, startStage } from './stage.ts'

let stage: Stage
before(async () => { stage = await startStage() })
after(async () => { await stage?.stop() })

function options(shop: Shop, group: Group = 'agents'): pg.ClientConfig {
  return { host: '127.0.0.1', port: stage.gateway.port, database: shop.name, user: 'someone', password: stage.tokens[group], ssl: { ca: readFileSync(stage.ca, 'utf8') } }
}
async function everyShop(body: (client: pg.Client, shop: Shop) => Promise<void>): Promise<void> {
  for (const shop of stage.shops) {
    const client = new pg.Client(options(shop))
    await client.connect()
    try { await body(client, shop) } finally { await client.end() }
  }
}
const refused = { code: '42501', message: /refused by Sluice: rule "agents\/no-ddl"/, detail: /migrations/, hint: /\S/ }

test('masked rows, NULLs, arrays, json, bytes and dates arrive as types, in text and in binary', async () => {
  await everyShop(async (client) => {
    for (const binary of [false, true]) {
      const { rows, fields } = await client.query({ text: 'SELECT id, ssn, card_number, notes, tags, active FROM customers ORDER BY id', binary } as pg.QueryConfig)
      assert.deepEqual(rows.map((row) => [row.id, row.ssn, row.card_number, row.notes, row.active]), [[1, '[hidden]', '[hidden]', 'call after six', true], [2, '[hidden]', '[hidden]', 'his number is [hidden]', false], [3, null, null, null, null]])
      assert.deepEqual(fields.map((field) => field.dataTypeID), [23, 25, 1043, 25, 1009, 16])
    }
    const { rows: [row] } = await client.query('SELECT tags, numbers, document, photo, balance, joined FROM customers WHERE id = $1', [1])
    assert.deepEqual(row, { tags: ['vip', 'two words', null], numbers: [1, 2, null], document: { a: [1, null] }, photo: Buffer.from([0, 255]), balance: '12.50', joined: new Date('2024-01-02T03:04:05Z') })
    assert.deepEqual((await client.query('SELECT id FROM customers WHERE id = ANY($1) ORDER BY id', [[1, 3]])).rows, [{ id: 1 }, { id: 3 }])
  })
})

test('a refusal is an ordinary error with its fields, for a text and for a prepared one, and the session goes on', async () => {
  await everyShop(async (client) => {
    await assert.rejects(client.query('DROP TABLE orders'), refused)
    await assert.rejects(client.query('TRUNCATE orders', []), refused)
    await assert.rejects(client.query({ name: 'bad', text: 'ALTER TABLE orders ADD x int', values: [] }), refused)
    await assert.rejects(client.query('SELECT 1/$1::int', [0]), { code: '22012' })
    await assert.rejects(client.query('SELEC 1'), { code: '42601', position: '1' })
    await assert.rejects(client.query('SELECT * FROM nowhere'), { code: '42P01', position: '15' })
    assert.deepEqual((await client.query('SELECT $1::int AS one', [1])).rows, [{ one: 1 }])
  })
})

test('a named statement is prepared once and run with different parameters; many at once keep their order', async () => {
  await everyShop(async (client) => {
    const find = (id: number | null) => client.query({ name: 'find', text: 'SELECT id, ssn FROM customers WHERE id = $1', values: [id] })
    assert.deepEqual((await find(1)).rows, [{ id: 1, ssn: '[hidden]' }])
    assert.deepEqual((await find(3)).rows, [{ id: 3, ssn: null }])
    assert.deepEqual((await find(null)).rows, [])
    const settled = await Promise.allSettled([find(2), client.query('DROP TABLE orders'), find(3), client.query('SELECT 1/0'), client.query('SELECT 7 AS n')])
    assert.deepEqual(settled.map((one) => (one.status === 'fulfilled' ? one.value.rows : (one.reason as pg.DatabaseError).code)), [[{ id: 2, ssn: '[hidden]' }], '42501', [{ id: 3, ssn: null }], '22012', [{ n: 7 }]])
  })
})

test('a transaction fails with its refusal, rolls back, and savepoints save it', async () => {
  await everyShop(async (client) => {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    await client.query('INSERT INTO jottings(body) VALUES ($1)', ['undone'])
    await assert.rejects(client.query('DROP TABLE jottings'), refused)
    await assert.rejects(client.query('SELECT 1'), { code: '25P02' })
    assert.equal((await client.query('COMMIT')).command, 'ROLLBACK')
    await client.query('BEGIN')
    await client.query('INSERT INTO jottings(body) VALUES ($1)', ['kept'])
    await client.query('SAVEPOINT a')
    await assert.rejects(client.query('TRUNCATE jottings', []), refused)
    await client.query('ROLLBACK TO SAVEPOINT a')
    await client.query('COMMIT')
    assert.deepEqual((await client.query('SELECT body FROM jottings')).rows, [{ body: 'kept' }])
    assert.equal((await client.query('DELETE FROM jottings WHERE body = $1', ['kept'])).rowCount, 1)
  })
})

test('a pool serves many at once', async () => {
  for (const shop of stage.shops) {
    const pool = new pg.Pool({ ...options(shop), max: 5 })
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => pool.query('SELECT $1::int AS i, ssn FROM customers WHERE id = 1', [i])))
    assert.deepEqual(answers.map(({ rows }) => rows[0]), Array.from({ length: 50 }, (_, i) => ({ i, ssn: '[hidden]' })))
    await pool.end()
  }
})

test('a large result comes whole, and a portal is read in pieces', async () => {
  await everyShop(async (client) => {
    const { rows } = await client.query('SELECT o.id, c.ssn FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.id')
    assert.equal(rows.length, ORDERS)
    assert.equal(rows.filter(({ ssn }) => ssn === '[hidden]').length, rows.filter(({ ssn }) => ssn !== null).length)
    const pieces = await client.query({ text: 'SELECT id, repeat($1, 1000) AS wide FROM orders ORDER BY id', values: ['x'], rows: 1000 } as pg.QueryConfig)
    assert.equal(pieces.rows.length, ORDERS)
    const wide = await client.query('SELECT repeat($1, 3000000) AS wide', ['é'])
    assert.equal(wide.rows[0].wide.length, 3_000_000)
  })
})

test('LISTEN and NOTIFY reach between sessions, hidden values hidden', async () => {
  await everyShop(async (client, shop) => {
    const other = new pg.Client(options(shop))
    await other.connect()
    await client.query('LISTEN news')
    const heard = new Promise<pg.Notification>((done) => client.once('notification', done))
    await other.query('SELECT pg_notify($1, $2)', ['news', 'ssn 123-45-6789'])
    const { channel, payload } = await heard
    assert.deepEqual({ channel, payload }, { channel: 'news', payload: 'ssn [hidden]' })
    await other.end()
  })
})

test('a cancel request ends the running statement and nothing else', async () => {
  await everyShop(async (client, shop) => {
    const slow = assert.rejects(client.query('SELECT count(*) FROM orders a, orders b, orders c'), { code: '57014' })
    await new Promise((later) => setTimeout(later, 200))
    const { processID, secretKey } = client as unknown as { processID: number; secretKey: number }
    const canceller = new pg.Client({ ...options(shop), ssl: false }) as pg.Client & { connection: { connect(port: number, host: string): void; cancel(pid: number, key: number): void; once(event: string, done: () => void): void; end(): void } }
    canceller.connection.once('connect', () => canceller.connection.cancel(processID, secretKey))
    canceller.connection.connect(stage.gateway.port, '127.0.0.1')
    await slow
    assert.deepEqual((await client.query('SELECT 1 AS one')).rows, [{ one: 1 }])
  })
})

test('a wrong password, a resource that is not there, and a CA that does not fit are told as errors', async () => {
  const shop = stage.shops[0]!
  const attempt = async (changed: pg.ClientConfig) => { const client = new pg.Client({ ...options(shop), ...changed }); await client.connect(); await client.end() }
  await assert.rejects(attempt({ password: 'not a token' }), { code: '28P01' })
  await assert.rejects(attempt({ database: 'nowhere' }), { code: '3D000', message: /no resource "nowhere"/ })
  await assert.rejects(attempt({ ssl: { rejectUnauthorized: true } }), /self-signed|unable to/)
  await attempt({ ssl: false })
})

test('Drizzle selects, joins, writes, returns, rolls back and is refused', async () => {
  const customers = pgTable('customers', { id: integer().primaryKey(), name: text().notNull(), ssn: text(), tags: text().array(), numbers: integer().array(), document: jsonb(), balance: numeric(), joined: timestamp({ withTimezone: true }), active: boolean() })
  const orders = pgTable('orders', { id: integer().primaryKey(), customerId: integer('customer_id').notNull(), amount: numeric().notNull(), status: text().notNull() })
  const jottings = pgTable('jottings', { id: serial().primaryKey(), body: text() })
  await everyShop(async (client) => {
    const db = drizzle({ client })
    assert.deepEqual(await db.select({ id: customers.id, ssn: customers.ssn, tags: customers.tags, document: customers.document }).from(customers).where(eq(customers.id, 1)), [{ id: 1, ssn: '[hidden]', tags: ['vip', 'two words', null], document: { a: [1, null] } }])
    const joined = await db.select().from(orders).innerJoin(customers, eq(orders.customerId, customers.id)).orderBy(orders.id).limit(2)
    assert.deepEqual(joined.map((row) => [row.orders.id, row.customers.ssn]), [[1, '[hidden]'], [2, null]])
    const find = db.select({ ssn: customers.ssn }).from(customers).where(eq(customers.id, sql.placeholder('id'))).prepare('drizzle_find')
    assert.deepEqual([await find.execute({ id: 1 }), await find.execute({ id: 3 })], [[{ ssn: '[hidden]' }], [{ ssn: null }]])
    const [made] = await db.insert(jottings).values({ body: 'drizzled' }).onConflictDoUpdate({ target: jottings.id, set: { body: 'twice' } }).returning()
    assert.deepEqual((await db.update(jottings).set({ body: 'again' }).where(eq(jottings.id, made!.id)).returning({ body: jottings.body })), [{ body: 'again' }])
    await assert.rejects(db.transaction(async (tx) => { await tx.delete(jottings).where(eq(jottings.id, made!.id)); tx.rollback() }), /Rollback/)
    await db.transaction(async (tx) => {
      await assert.rejects(tx.transaction((inner) => inner.execute(sql`DROP TABLE orders`)), (error: Error) => (error.cause as pg.DatabaseError).code === '42501')
      assert.equal((await tx.delete(jottings).where(eq(jottings.id, made!.id)).returning()).length, 1)
    }, { isolationLevel: 'serializable' })
    assert.equal(await db.$count(orders), ORDERS)
  })
})
