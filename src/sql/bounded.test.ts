import assert from 'node:assert/strict'
import { test } from 'node:test'
import { read } from './sample.test.ts'

/** `bounded` of the first write effect that is no INSERT. */
async function bounded(text: string): Promise<boolean> {
  const effects = (await read(text)).flatMap((reading) => reading.effects)
  const effect = effects.find(({ operation }) => ['sql.update', 'sql.delete', 'sql.merge'].includes(operation))
  assert.ok(effect !== undefined, text)
  return effect.bounded
}

const BOUNDED = [
  'DELETE FROM accounts WHERE id = 5', 'DELETE FROM accounts WHERE 5 = id', 'DELETE FROM accounts WHERE id = $1', 'DELETE FROM accounts WHERE id = $1::int', `DELETE FROM accounts WHERE id = CAST('5' AS int)`, 'DELETE FROM accounts WHERE id = -5',
  'DELETE FROM accounts WHERE id IN (1, 2, $3)', 'DELETE FROM accounts WHERE id BETWEEN 1 AND 10', 'DELETE FROM accounts WHERE id BETWEEN $1 AND $2', 'DELETE FROM accounts WHERE id BETWEEN SYMMETRIC 10 AND 1', `DELETE FROM accounts WHERE status = 'x' AND balance > 0`,
  'DELETE FROM accounts WHERE (id = 5 AND (true OR false))', 'DELETE FROM accounts a WHERE a.id = 5', 'DELETE FROM public.accounts WHERE accounts.id = 5', 'DELETE FROM accounts WHERE id OPERATOR(pg_catalog.=) 5', `UPDATE accounts SET status = 'x' WHERE id = 1`,
  `DELETE FROM accounts WHERE ctid = '(0,1)'`, 'WITH d AS (DELETE FROM accounts WHERE id = 1 RETURNING *) SELECT * FROM d', 'UPDATE accounts a SET balance = 0 FROM customers c WHERE a.id = c.id AND c.id = 7', 'DELETE FROM accounts a USING (VALUES (1), (2)) v(id) WHERE a.id = v.id',
  'UPDATE pairs p SET c = v.c FROM (VALUES (1, 2, 3)) v(a, b, c) WHERE p.a = v.a AND v.b = p.b', 'WITH v AS (VALUES (1)) UPDATE accounts a SET balance = 0 FROM v WHERE a.id = v.column1', 'UPDATE accounts a SET balance = 0 FROM (SELECT 5 AS id) s WHERE s.id = a.id',
  'UPDATE accounts a SET balance = 0 FROM (SELECT customer_id FROM orders WHERE id = 5) s WHERE a.id = s.customer_id', `INSERT INTO accounts VALUES (1, 1, 0, 'x') ON CONFLICT (id) DO UPDATE SET status = excluded.status`, 'INSERT INTO accounts(id) SELECT 5 ON CONFLICT (id) DO UPDATE SET balance = 0',
  'MERGE INTO accounts t USING (VALUES (1)) s(id) ON t.id = s.id WHEN MATCHED THEN DELETE', 'MERGE INTO accounts t USING orders s ON t.id = 5 WHEN MATCHED THEN UPDATE SET balance = 0',
]
const UNBOUNDED = [
  'DELETE FROM accounts', 'DELETE FROM accounts WHERE true', 'DELETE FROM accounts WHERE 1 = 1', 'DELETE FROM accounts WHERE id = id', 'DELETE FROM accounts WHERE id = 5 OR true', 'DELETE FROM accounts WHERE 1=1 OR id = 5', 'DELETE FROM accounts WHERE NOT (id = 5)', 'DELETE FROM accounts WHERE id <> 5',
  'DELETE FROM accounts WHERE id NOT IN (5)', 'DELETE FROM accounts WHERE id NOT BETWEEN 5 AND 6', 'DELETE FROM accounts WHERE id > 0', 'DELETE FROM accounts WHERE id >= 1 AND id <= 10', 'DELETE FROM accounts WHERE id = ANY ($1)', `DELETE FROM accounts WHERE id = ANY ('{1,2}')`, 'DELETE FROM accounts WHERE id = ANY (ARRAY[1])',
  'DELETE FROM accounts WHERE id IN (SELECT id FROM accounts)', 'DELETE FROM accounts WHERE id IN (SELECT 5)', 'DELETE FROM accounts WHERE id = (SELECT 5)', 'DELETE FROM accounts WHERE EXISTS (SELECT 1)', 'DELETE FROM accounts WHERE (id, status) = (1, 2)', 'DELETE FROM accounts WHERE ROW(id) = ROW(1)',
  'DELETE FROM accounts WHERE (id, 1) IN ((1, 1))', 'DELETE FROM accounts WHERE id IN (1, id)', 'DELETE FROM accounts WHERE id BETWEEN 1 AND id', 'DELETE FROM accounts WHERE id BETWEEN id AND 5', 'DELETE FROM accounts WHERE $1', 'DELETE FROM accounts WHERE $1::bool', 'DELETE FROM accounts WHERE $1 = $2', 'DELETE FROM accounts WHERE id = NULL',
  'DELETE FROM accounts WHERE id IS NOT NULL', 'DELETE FROM accounts WHERE id IS NOT DISTINCT FROM 5', `DELETE FROM accounts WHERE status LIKE '%'`, `DELETE FROM accounts WHERE status ~ ''`, 'DELETE FROM accounts WHERE id::text = $1', 'DELETE FROM accounts WHERE id + 0 = 5', 'DELETE FROM accounts WHERE coalesce(id, 5) = 5',
  'DELETE FROM accounts WHERE id = 5 IS TRUE', 'DELETE FROM accounts WHERE (id = 5) = true', 'DELETE FROM accounts WHERE (id = 5) IS NOT FALSE', 'DELETE FROM accounts WHERE CASE WHEN true THEN true ELSE id = 5 END', 'DELETE FROM accounts WHERE id = random()', 'DELETE FROM accounts WHERE id = length($1)', `DELETE FROM accounts WHERE tableoid = 'accounts'::regclass`,
  'DELETE FROM accounts WHERE xmin = 5', 'DELETE FROM accounts WHERE CURRENT OF c', 'DELETE FROM accounts WHERE id OPERATOR(hr.=) 5', 'DELETE FROM accounts USING customers c WHERE c.id = 5', 'DELETE FROM accounts a USING customers c WHERE a.customer_id = c.id', 'DELETE FROM accounts a USING customers c WHERE a.customer_id = c.id AND c.id = 5',
  'DELETE FROM accounts a USING customers c WHERE a.id = c.id', `UPDATE accounts SET status = 'x'`, `UPDATE accounts SET status = 'x' FROM (SELECT 1 WHERE true) w`, `UPDATE accounts SET status = 'x' FROM (SELECT 5 AS k) w WHERE w.k = 5`, `UPDATE accounts a SET balance = 0 FROM (SELECT generate_series(1,1000) AS id) s WHERE a.id = s.id`,
  'UPDATE accounts a SET balance = 0 FROM (SELECT id FROM customers LIMIT 5) s WHERE a.id = s.id', 'UPDATE accounts a SET balance = 0 FROM generate_series(1, 5) s WHERE a.id = s', 'UPDATE pairs p SET c = 1 FROM (VALUES (1)) v(a) WHERE p.a = v.a', 'WITH RECURSIVE v AS (SELECT 1 AS id UNION ALL SELECT id + 1 FROM v) UPDATE accounts a SET balance = 0 FROM v WHERE a.id = v.id',
  'WITH v AS (SELECT id FROM accounts) DELETE FROM accounts a USING v WHERE a.id = v.id', 'INSERT INTO accounts SELECT * FROM accounts ON CONFLICT (id) DO UPDATE SET balance = 0', 'INSERT INTO accounts(id) SELECT generate_series(1, 1000) ON CONFLICT (id) DO UPDATE SET balance = 0', 'INSERT INTO accounts(id) VALUES (generate_series(1, 1000)) ON CONFLICT (id) DO UPDATE SET balance = 0',
  'INSERT INTO accounts(id) SELECT id FROM customers WHERE id > 5 ON CONFLICT (id) DO UPDATE SET balance = 0', 'INSERT INTO accounts(id) SELECT 1 UNION ALL SELECT id FROM customers ON CONFLICT (id) DO UPDATE SET balance = 0', 'MERGE INTO accounts t USING orders s ON true WHEN MATCHED THEN DELETE',
  'MERGE INTO accounts t USING orders s ON t.id = s.id WHEN MATCHED THEN DELETE', 'MERGE INTO accounts t USING (VALUES (1)) s(id) ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE', 'MERGE INTO accounts t USING (VALUES (1)) s(id) ON s.id = 1 WHEN MATCHED THEN DELETE',
  'DELETE FROM nowhere WHERE id = 5 OR true', 'WITH d AS (DELETE FROM accounts) SELECT 1 WHERE 1 = 1',
]
for (const text of BOUNDED) test(`bounded: ${text}`, async () => { assert.equal(await bounded(text), true) })
for (const text of UNBOUNDED) test(`not bounded: ${text}`, async () => { assert.equal(await bounded(text), false) })
