import assert from 'node:assert/strict'
import { test } from 'node:test'
import { qualified } from './names.ts'
import { read } from './sample.test.ts'

/** `role name`, or `role cte:name`, in order of place. */
async function references(text: string): Promise<string[]> {
  return (await read(text)).flatMap(({ resolution }) => [...resolution.references].sort((a, b) => a.location - b.location).map(({ role, resolved }) => `${role} ${resolved.kind === 'cte' ? `cte:${resolved.name}` : qualified(resolved) ?? resolved.kind}`))
}
const columns = async (text: string) => [...(await read(text)).at(-1)!.columns].sort()

const SCOPES: readonly (readonly [string, readonly string[]])[] = [
  ['WITH customers AS (SELECT 1) SELECT * FROM customers, public.customers', ['read cte:customers', 'read public.customers']],
  ['WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a, b', ['read missing', 'read cte:a', 'read cte:b']],
  ['WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a', ['read cte:b', 'read cte:a']],
  ['WITH orders AS (SELECT * FROM orders) SELECT * FROM orders', ['read public.orders', 'read cte:orders']],
  ['WITH RECURSIVE orders AS (SELECT * FROM orders) SELECT * FROM orders', ['read cte:orders', 'read cte:orders']],
  ['WITH orders AS (SELECT 1) DELETE FROM orders', ['delete public.orders']],
  ['WITH orders AS (SELECT 1) UPDATE accounts SET status = 1 FROM orders', ['update public.accounts', 'read cte:orders']],
  ['WITH orders AS (SELECT 1) INSERT INTO orders SELECT * FROM orders', ['insert public.orders', 'read cte:orders']],
  ['INSERT INTO orders WITH orders AS (SELECT 1) SELECT * FROM orders', ['insert public.orders', 'read cte:orders']],
  ['SELECT (WITH orders AS (SELECT 1) SELECT count(*) FROM orders), (SELECT count(*) FROM orders)', ['read cte:orders', 'read public.orders']],
  ['WITH orders AS (SELECT 1) SELECT (SELECT count(*) FROM orders) UNION SELECT 1 FROM orders', ['read cte:orders', 'read cte:orders']],
  ['(WITH orders AS (SELECT 1) SELECT 1 FROM orders) UNION SELECT 1 FROM orders', ['read cte:orders', 'read public.orders']],
  ['WITH orders AS (SELECT 1) SELECT 1 FROM (SELECT * FROM orders) x, LATERAL (SELECT * FROM orders) y', ['read cte:orders', 'read cte:orders']],
  ['CREATE VIEW v AS WITH orders AS (SELECT 1) SELECT * FROM orders', ['create missing', 'read cte:orders']],
  ['EXPLAIN WITH orders AS (SELECT 1) SELECT * FROM orders', ['read cte:orders']],
  ['COPY (WITH orders AS (SELECT 1) SELECT * FROM orders) TO STDOUT', ['read cte:orders']],
  ['MERGE INTO orders USING accounts ON true WHEN MATCHED THEN DO NOTHING', ['merge public.orders', 'read public.accounts']],
  ['SELECT * FROM pg_class, information_schema.tables', ['read pg_catalog.pg_class', 'read information_schema.tables']],
  ['LOCK orders, ONLY accounts', ['lock public.orders', 'lock public.accounts']],
]
for (const [text, expected] of SCOPES) test(`${text} means ${expected.join(', ')}`, async () => { assert.deepEqual(await references(text), expected) })

test('columns are those of the relation that the server would find them in', async () => {
  assert.deepEqual(await columns('SELECT ssn FROM customers'), ['public.customers.ssn'])
  assert.deepEqual(await columns('SELECT x.s FROM customers AS x(i, n, e, s)'), ['public.customers.ssn'])
  assert.deepEqual(await columns('SELECT (SELECT ssn FROM orders LIMIT 1) FROM customers'), ['public.customers.ssn'])
  assert.deepEqual(await columns('SELECT (SELECT status FROM orders LIMIT 1) FROM accounts'), ['public.orders.status'])
  assert.deepEqual(await columns('SELECT j.ssn FROM (customers a JOIN orders b USING (id)) j'), ['public.customers.id', 'public.customers.ssn', 'public.orders.id'])
  assert.deepEqual(await columns('SELECT 1 FROM customers NATURAL JOIN v_contact'), ['public.customers.id', 'public.customers.name', 'public.v_contact.id', 'public.v_contact.name'])
  assert.deepEqual(await columns('SELECT ssn(c) FROM customers c'), ['public.customers.card_number', 'public.customers.created_at', 'public.customers.email', 'public.customers.id', 'public.customers.name', 'public.customers.notes', 'public.customers.ssn'])
  assert.deepEqual(await columns('SELECT v FROM customers c, LATERAL (VALUES (c.ssn), (c.email)) t(v)'), ['public.customers.email', 'public.customers.ssn'])
  assert.deepEqual(await columns('SELECT s FROM (SELECT ssn AS s, email FROM customers) x'), ['public.customers.email', 'public.customers.ssn'])
  assert.deepEqual(await columns('SELECT count(*) FROM customers ORDER BY count(ssn)'), ['public.customers.ssn'])
  assert.equal((await columns('SELECT * FROM customers')).length, 7)
  assert.equal((await columns('SELECT c FROM customers c')).length, 7)
  assert.equal((await columns('SELECT to_jsonb(customers) FROM customers')).length, 7)
  assert.deepEqual(await columns('UPDATE customers SET name = $1 WHERE id = 1 RETURNING old.ssn'), ['public.customers.id', 'public.customers.ssn'])
  assert.ok((await read('UPDATE customers SET name = $1 WHERE id = 1 RETURNING old.ssn'))[0]!.effects.some(({ operation, columns: named }) => operation === 'sql.select' && named.includes('public.customers.ssn')))
})

test('places are bytes in the whole text', async () => {
  const text = `SELECT 'é🦀'; SELECT 1 FROM orders`
  const [reference] = (await read(text))[1]!.resolution.references
  assert.equal(Buffer.from(text).subarray(reference!.location, reference!.location + 6).toString(), 'orders')
})

const DEEP: Readonly<Record<string, string>> = {
  unions: `SELECT 1${' UNION SELECT 1'.repeat(1000)}`, sums: `SELECT ${'1+'.repeat(590)}1`, subqueries: `${'SELECT ('.repeat(190)}SELECT 1${')'.repeat(190)}`, joins: `SELECT 1 FROM orders${' JOIN accounts ON true'.repeat(550)}`, ctes: `${'WITH a AS ('.repeat(190)}SELECT 1${') SELECT 1'.repeat(190)}`,
  from: `${'SELECT 1 FROM ('.repeat(200)}SELECT 1${') x'.repeat(200)}`, arrays: `SELECT ${'ARRAY['.repeat(500)}1${']'.repeat(500)}`, functions: `SELECT ${'lower('.repeat(500)}'x'${')'.repeat(500)}`,
}
for (const [name, text] of Object.entries(DEEP)) test(`a deep text of ${name} is read to its end`, async () => { assert.ok((await read(text))[0]!.effects.every(({ access }) => access === 'read')) })
