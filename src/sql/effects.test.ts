import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brief, gravest, read } from './sample.test.ts'
import { as } from './walk.ts'

// Text → every effect as `operation:access`, sorted.
const TABLE: readonly (readonly [string, string])[] = [
  ['SELECT 1', 'sql.select:read'],
  ['TABLE orders', 'sql.select:read'],
  ['VALUES (1), (2)', 'sql.select:read'],
  ['SELECT * FROM orders FOR UPDATE', 'sql.lock:write sql.select:read'],
  ['INSERT INTO orders(id) VALUES (1)', 'sql.insert:write'],
  ['INSERT INTO orders(id) SELECT id FROM accounts', 'sql.insert:write sql.select:read'],
  ['INSERT INTO orders(id) VALUES (1) RETURNING *', 'sql.insert:write sql.select:read'],
  ['INSERT INTO orders(id) VALUES (1) ON CONFLICT DO NOTHING', 'sql.insert:write'],
  ['INSERT INTO orders(id) VALUES (1) ON CONFLICT (id) DO UPDATE SET note = 1', 'sql.insert:write sql.update:write'],
  ['UPDATE orders SET note = 1 WHERE id = 1', 'sql.update:write'],
  ['DELETE FROM orders USING accounts a WHERE orders.id = a.id', 'sql.delete:write sql.select:read'],
  ['MERGE INTO orders t USING accounts s ON t.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)', 'sql.delete:write sql.insert:write sql.merge:write sql.select:read'],
  ['WITH d AS (DELETE FROM orders RETURNING *), i AS (INSERT INTO accounts SELECT * FROM d) SELECT 1', 'sql.delete:write sql.insert:write sql.select:read'],
  ['COPY orders TO STDOUT', 'sql.copy.out:read'],
  ['COPY (SELECT 1) TO STDOUT', 'sql.copy.out:read sql.select:read'],
  ['COPY (DELETE FROM orders RETURNING *) TO STDOUT', 'sql.copy.out:read sql.delete:write sql.select:read'],
  ['COPY orders FROM STDIN', 'sql.copy.in:write'],
  [`COPY orders TO '/x'`, 'sql.copy.file:admin sql.copy.out:read sql.file:admin'],
  [`COPY orders FROM PROGRAM 'x'`, 'sql.copy.in:write sql.copy.program:admin'],
  ['EXPLAIN SELECT * FROM orders', 'sql.explain:read sql.select:read'],
  ['EXPLAIN DELETE FROM orders', 'sql.explain:read'],
  ['EXPLAIN ANALYZE DELETE FROM orders', 'sql.delete:write sql.explain:read'],
  ['DO $$ $$', 'sql.do:admin'],
  ['CALL purge_orders()', 'sql.call:admin sql.call:write'],
  ['PREPARE p AS SELECT 1', 'sql.prepare:session sql.select:read'],
  ['DEALLOCATE ALL', 'sql.prepare:session'],
  ['BEGIN; SAVEPOINT a; ROLLBACK TO a; RELEASE a; COMMIT', 'sql.transaction:session sql.transaction:session sql.transaction:session sql.transaction:session sql.transaction:session'],
  ['SET TRANSACTION ISOLATION LEVEL SERIALIZABLE', 'sql.transaction:session'],
  ['SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY', 'sql.transaction:session'],
  ['SET search_path = hr, public', 'sql.set:session'],
  [`SET TIME ZONE 'UTC'`, 'sql.set:session'],
  ['SET TIME ZONE LOCAL', 'sql.set:session'],
  [`SET TIME ZONE INTERVAL '-3' HOUR`, 'sql.set:session'],
  ['SET statement_timeout = 0', 'sql.set:session'],
  [`SET client_encoding TO 'UTF8'`, 'sql.set:session'],
  [`SET NAMES 'UTF8'`, 'sql.set:session'],
  ['SET standard_conforming_strings = on', 'sql.set:session'],
  ['RESET ALL', 'sql.set:session'],
  ['RESET search_path', 'sql.set:session'],
  ['SHOW ALL', 'sql.show:session'],
  ['DISCARD ALL', 'sql.set:session'],
  ['LISTEN a; UNLISTEN *', 'sql.listen:session sql.listen:session'],
  [`NOTIFY a, 'x'`, 'sql.notify:write'],
  [`SELECT pg_notify('a', 'b')`, 'sql.notify:write sql.select:read'],
  [`SELECT nextval('invoice_seq')`, 'sql.select:read sql.update:write'],
  ['LOCK TABLE orders', 'sql.lock:write'],
  ['SELECT pg_try_advisory_xact_lock(1)', 'sql.lock:write sql.select:read'],
  ['SELECT txid_current()', 'sql.lock:write sql.select:read'],
  ['DECLARE c CURSOR FOR SELECT 1', 'sql.cursor:read sql.select:read'],
  ['FETCH 5 FROM c; MOVE c; CLOSE c', 'sql.cursor:read sql.cursor:read sql.cursor:read'],
  ['CREATE TABLE x (a int)', 'sql.create.table:admin'],
  ['CREATE TABLE x AS SELECT * FROM orders', 'sql.create.table:admin sql.select:read'],
  ['SELECT * INTO x FROM orders', 'sql.create.table:admin sql.select:read'],
  ['CREATE VIEW x AS SELECT * FROM orders', 'sql.create.view:admin sql.select:read'],
  ['CREATE MATERIALIZED VIEW x AS SELECT 1', 'sql.create.materialized_view:admin sql.select:read'],
  ['ALTER TABLE orders DROP COLUMN note', 'sql.alter.table:admin sql.drop.column:admin'],
  ['ALTER TABLE orders OWNER TO x', 'sql.alter.table:admin'],
  ['DROP TABLE orders, accounts', 'sql.drop.table:admin'],
  ['TRUNCATE orders', 'sql.truncate:admin'],
  ['GRANT SELECT ON orders TO x', 'sql.grant:admin'],
  ['CREATE ROLE x', 'sql.create.role:admin sql.role:admin'],
  ['SET ROLE x', 'sql.role:admin'],
  [`ALTER SYSTEM SET log_statement = 'none'`, 'sql.configure:admin sql.configure:admin'],
  ['CREATE EXTENSION x', 'sql.create.extension:admin sql.extension:admin'],
  ['CREATE RULE r AS ON INSERT TO orders DO ALSO DELETE FROM accounts', 'sql.create.rule:admin sql.delete:write'],
  ['CREATE SCHEMA s CREATE TABLE t (a int) CREATE VIEW v AS SELECT * FROM orders', 'sql.create.schema:admin sql.create.table:admin sql.create.view:admin sql.select:read'],
  ['', ''],
]
for (const [text, expected] of TABLE) test(`${text === '' ? 'the empty text' : text} is ${expected === '' ? 'nothing' : expected}`, async () => { assert.equal((await brief(text)).join(' '), expected) })

const HARMLESS = [`SELECT lower('A'), now(), count(*), gen_random_uuid(), jsonb_build_object('a', 1), string_agg(note, ','), row_number() OVER () FROM orders`, `SELECT 'orders'::regclass, '1'::int4, 'x'::hstore, 'sad'::mood, uuid('6f1c1a3e-7d0f-4c33-9d0a-0123456789ab')`, `SELECT similarity('a', 'b'), digest('a', 'sha256')`,
  `SELECT hstore('a', 'b') -> 'a'`, `SELECT extract(year FROM now()), overlay('abc' PLACING 'x' FROM 1), position('a' IN 'b'), trim(both 'x' FROM 'y'), substring('a' FROM 1), 'a' LIKE 'b', 'a' SIMILAR TO 'b', 1 BETWEEN 0 AND 2`, `SELECT json_object('a': 1), xmlelement(name a), current_user, current_date`,
  `SELECT (o).note, o.id, o FROM orders o`, `SELECT note(o) FROM orders o`, `SELECT current_setting('server_version_num'), current_setting('x.y', true)`, `SELECT pg_backend_pid(), pg_is_in_recovery(), version()`, `SELECT set_config('search_path', '', false)`, `SELECT pg_size_pretty(pg_total_relation_size('orders'))`,
  `SELECT (information_schema._pg_expandarray(i.indkey)).n FROM pg_catalog.pg_index i`, 'SELECT * FROM information_schema.columns', `SELECT subname FROM pg_roles, pg_settings, pg_extension`, `SELECT * FROM generate_series(1, 5) g, unnest(ARRAY[1]) u, jsonb_each('{}')`, 'SELECT random() FROM orders TABLESAMPLE system (1)']
for (const text of HARMLESS) test(`harmless: ${text.slice(0, 80)}`, async () => { assert.equal(await gravest(text), 'read') })

test('a reading tells objects, columns and which of them are written', async () => {
  const [reading] = await read('UPDATE orders o SET note = a.status FROM accounts a WHERE a.id = o.customer_id AND o.id = 5 RETURNING o.sku')
  assert.deepEqual(reading!.objects, ['public.orders', 'public.accounts'])
  const update = reading!.effects.find(({ operation }) => operation === 'sql.update')!
  assert.deepEqual([...update.columns].sort(), ['public.orders.customer_id', 'public.orders.id', 'public.orders.note', 'public.orders.sku'])
  const select = reading!.effects.find(({ operation }) => operation === 'sql.select')!
  assert.deepEqual([...select.objects].sort(), ['public.accounts', 'public.orders'])
  assert.ok(select.columns.includes('public.accounts.status'))
  assert.equal((await read('SELECT * FROM nowhere'))[0]!.objects, 'unknown')
  assert.equal((await read('SELECT * FROM orders', {}, null))[0]!.objects, 'unknown')
})

test('a reading tells what the session must follow', async () => {
  const one = async (text: string) => (await read(text)).at(-1)!
  assert.deepEqual((await one('COMMIT AND CHAIN')).transaction, { control: 'commit', name: null, chain: true })
  assert.deepEqual((await one('ROLLBACK TO SAVEPOINT a')).transaction, { control: 'rollback to', name: 'a', chain: false })
  assert.equal((await one('COPY orders FROM STDIN')).copy, 'in')
  assert.equal((await one('COPY orders TO STDOUT')).copy, 'out')
  assert.equal((await one(`COPY orders TO '/x'`)).copy, null)
  assert.deepEqual((await one('SET LOCAL Search_Path = hr, public')).settings, [{ name: 'search_path', value: 'hr, public', local: true }])
  assert.deepEqual((await one(`SELECT set_config('work_mem', '64MB', true)`)).settings, [{ name: 'work_mem', value: '64MB', local: true }])
  assert.deepEqual((await one('DECLARE c CURSOR WITH HOLD FOR SELECT 1')).cursor, { action: 'declare', name: 'c', hold: true })
  assert.deepEqual((await one('CLOSE ALL')).cursor, { action: 'close', name: null, hold: false })
  assert.deepEqual((await one('FETCH ALL FROM c')).rowsMax, Infinity)
  assert.equal((await one('PREPARE p AS SELECT 1')).prepared?.action, 'prepare')
  assert.equal((await one('DEALLOCATE ALL')).prepared?.name, null)
  assert.equal((await one('DISCARD ALL')).discards, 'all')
  assert.equal((await one('CREATE TEMP TABLE x (a int)')).makesTemporary, true)
  assert.equal((await one('CREATE TABLE pg_temp.x (a int)')).makesTemporary, true)
  for (const text of ['CREATE TABLE x (a int)', 'DROP VIEW v_contact', 'SET search_path = x', 'SELECT set_config($$search_path$$, $1, false)', 'DO $$ $$', 'ROLLBACK', 'DISCARD ALL', 'RESET ALL']) assert.equal((await one(text)).changesNames, true, text)
  for (const text of ['SELECT 1', 'BEGIN', 'INSERT INTO orders(id) VALUES (1)', 'SET statement_timeout = 5', 'SHOW search_path']) assert.equal((await one(text)).changesNames, false, text)
  assert.equal((await one('SELECT 1')).answersRows, true)
  assert.equal((await one('DELETE FROM orders')).answersRows, false)
})

test('literals matter unless each of them is compared, listed, inserted or set', async () => {
  const matter = async (text: string) => (await read(text))[0]!.literalsMatter
  for (const text of ['SELECT a FROM orders WHERE id = 5', `SELECT note FROM orders WHERE id IN (1, 2) AND note LIKE 'x' AND amount BETWEEN 1 AND 2`, `INSERT INTO orders(id, note) VALUES (1, 'x'), (2, 'y')`, `UPDATE orders SET note = 'x' WHERE id = 1`, 'DELETE FROM orders WHERE id = 1', 'SELECT note FROM orders WHERE note IS NULL']) assert.equal(await matter(text), false, text)
  for (const text of ['SELECT id FROM orders LIMIT 5', 'SELECT id FROM orders OFFSET 5', 'SELECT id FROM orders ORDER BY 1', 'SELECT id FROM orders GROUP BY 1', `SELECT lower('x')`, `SELECT '1'::int`, `SELECT date '2020-01-01'`, `SELECT set_config('role', 'x', false)`, `SELECT now() - interval '1 day'`, 'SELECT id FROM orders WHERE id = 5 + 5',
    'FETCH 5 FROM c', `SET search_path = 'x'`, `SELECT json_value('1', '$')`, 'SELECT 1 FETCH FIRST 5 ROWS ONLY', `SELECT note FROM orders WHERE note = 'x'::text`, 'SELECT (ARRAY[1,2])[1]', 'SELECT id FROM orders TABLESAMPLE system (5)', `COMMENT ON TABLE orders IS 'x'`]) assert.equal(await matter(text), true, text)
})

test('a node that the grammar of tomorrow makes is unknown, never allowed', async () => {
  const [reading] = await read('SELECT a FROM orders')
  Object.assign(as('SelectStmt', reading!.node)!, { surprise: { Surprise: {} } })
  const { effectsOf } = await import('./effects.ts')
  const { CATALOG, CONTEXT } = await import('./sample.test.ts')
  const again = effectsOf({ kind: 'tree', text: '', statements: [{ node: reading!.node, start: 0, length: 0 }] }, CATALOG, CONTEXT)
  assert.deepEqual(again[0]!.effects.map(({ access }) => access), ['unknown'])
  const stranger = effectsOf({ kind: 'tree', text: '', statements: [{ node: { FutureStmt: {} } as never, start: 0, length: 0 }] }, CATALOG, CONTEXT)
  assert.deepEqual(stranger[0]!.effects.map(({ access }) => access), ['unknown'])
})
