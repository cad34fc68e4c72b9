// Row filters on real servers: what a session sees and changes is what it would see and change if the other rows were not there.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { filterMistake, filterOf, type IdentityValues } from '../src/sql/filter.ts'
import { ready } from '../src/sql/grammar.ts'
import type { MaskOf } from '../src/sql/mask-index.ts'
import { MaskedSession } from './servers/masked.ts'
import { startPostgres, SUITE_VERSIONS, type TestServer } from './servers/postgres.ts'

const SCHEMA = `
CREATE ROLE app LOGIN;
CREATE TABLE orders(id int PRIMARY KEY, team varchar(20) NOT NULL, amount int, note text, secret text, ref text UNIQUE);
CREATE INDEX ON orders(team);
INSERT INTO orders SELECT g, 'red', g * 10, 'mine ' || g, 'MARKER', 'r' || g FROM generate_series(1, 5) g;
CREATE TABLE items(id int PRIMARY KEY, order_id int REFERENCES orders(id) ON DELETE CASCADE, what text);
INSERT INTO items SELECT g, g, 'item ' || g FROM generate_series(1, 5) g;
CREATE TABLE events(id int, team text, at date) PARTITION BY RANGE (at);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2024-01-01');
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2030-01-01');
INSERT INTO events VALUES (1, 'red', '2023-05-05'), (2, 'red', '2024-05-05');
CREATE TABLE odd(id int PRIMARY KEY, squad text);
CREATE VIEW over_orders AS SELECT id, amount FROM orders;
CREATE VIEW by_team AS SELECT team, count(*) AS n, sum(amount) AS total FROM orders GROUP BY team;
CREATE VIEW over_view AS SELECT total FROM by_team;
CREATE FUNCTION all_orders() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM orders';
CREATE VIEW by_function AS SELECT all_orders();
GRANT ALL ON ALL TABLES IN SCHEMA public TO app; GRANT USAGE, CREATE ON SCHEMA public TO app;
`
const OTHERS = `
INSERT INTO orders SELECT g, 'blue', g * 1000, 'FOREIGN ' || g, 'FOREIGN', 'b' || g FROM generate_series(11, 20) g;
INSERT INTO orders VALUES (30, 'blue', 100, 'FOREIGN', 'FOREIGN', 'x');
INSERT INTO events VALUES (11, 'blue', '2023-06-06'), (12, 'blue', '2024-06-06');
`
await ready()
const values: IdentityValues = { subject: "o'neil\\@x", issuer: 'corp', groups: ['red', "o'dd\\", 'a,"b}'], agent: false, onBehalfOf: null }
const filtersOf = (...all: (readonly [string, string])[]) => all.map(([table, where], i) => filterOf({ rule: `team/filter-${i + 1}`, table, where, values }))
const maskOf = (filters: NonNullable<MaskOf['filters']>, base: (table: string, column: string) => boolean = () => false): MaskOf =>
  Object.assign((_schema: string, table: string, column: string) => base(table, column) ? { with: 'redact' as const, rule: 'hide', lookups: null } : null, { filters })

describe('reading a filter', () => {
  test('every part of it is qualified, and values of the identity are literals', () => {
    const [made] = filtersOf(['public.orders', "team = identity.groups AND note LIKE 'a%' OR lower(ref) IN ('x', identity.subject) AND amount BETWEEN 1 AND -2 AND NOT identity.agent AND amount::int8 IS NOT NULL"])
    assert.equal(made!.mistake, '')
    const text = made!.condition!.text((name) => `t."${name}"`)
    assert.equal(text.replaceAll(/OPERATOR\(pg_catalog\.[^)]+\)/g, '').match(/[=~]|LIKE/), null, text)
    assert.match(text, /E'o''neil\\\\@x'::pg_catalog\.text/)
    assert.match(text, /ARRAY\['red',  E'o''dd\\\\', 'a,"b}'\]::pg_catalog\.text\[\]/)
    assert.match(text, /pg_catalog\."lower"\(t\."ref"\)/)
  })
  test('what it can not be is a mistake', () => {
    for (const where of ['', 'true', 'team', 'team = (SELECT 1)', 'team = $1', 'true) UNION SELECT (1', 'team = 1; DROP TABLE x', 'team = 1 ORDER BY 1', 'team = 1 LIMIT 1', 'orders.team = 1', 'identity.password = team',
      'count(*) > 1', 'sum(amount) OVER () > 1', 'team IS DISTINCT FROM 1', 'EXISTS (SELECT 1)', 'team = ANY(SELECT 1)', 'team =', 'case when team = 1 then true end', '(team, ref) = (1, 2)', 'team = CURRENT_USER']) {
      if (where === 'team') { assert.equal(filterMistake('public.orders', where), null); continue }
      assert.notEqual(filterMistake('public.orders', where), null, where)
    }
    assert.notEqual(filterMistake('orders', 'team = 1'), null)
    assert.equal(filterMistake('*.orders', 'team = any(identity.groups)'), null)
    assert.equal(filterMistake('public.orders', 'owner = identity.onBehalfOf'), null)
  })
})

for (const version of SUITE_VERSIONS) {
  describe(`row filters on PostgreSQL ${version}`, () => {
    let server: TestServer
    let session: MaskedSession, alone: MaskedSession
    const filters = filtersOf(['public.orders', 'team = any(identity.groups)'], ['public.events', 'team = identity.groups'], ['public.odd', 'team = identity.groups'])
    const masked = maskOf(filters, (table, column) => table === 'orders' && column === 'secret')
    before(async () => {
      server = await startPostgres({ version })
      await server.sql('CREATE DATABASE alone')
      await server.sql(SCHEMA)
      await server.sql(SCHEMA.replace('CREATE ROLE app LOGIN;', ''), 'alone')
      await server.sql(OTHERS)
      session = await MaskedSession.open(server, 'postgres', 'app', masked)
      alone = await MaskedSession.open(server, 'alone', 'app', masked)
    })
    after(async () => { await session.close(); await alone.close(); await server.stop() })

    /** The same rows, error and notices as where the others' rows are not. */
    const alike = async (text: string, given?: unknown[]) => {
      const [here, there] = [await session.run(text, given), await alone.run(text, given)]
      assert.notEqual(here.result.kind, 'refused', `${text}: ${here.result.kind === 'refused' ? here.result.message : ''}`)
      assert.deepEqual([here.rows, here.error, here.notices], [there.rows, there.error, there.notices], `${text}\n${here.result.kind === 'rewritten' ? here.result.text : ''}`)
      assert.doesNotMatch(JSON.stringify(here), /FOREIGN \d|"blue"/, text)
      return here
    }
    const refused = async (text: string, message = /./) => {
      const result = await session.mask(text)
      assert.equal(result.kind, 'refused', `${text}\n${result.kind === 'rewritten' ? result.text : 'unchanged'}`)
      if (result.kind === 'refused') assert.match(result.message, message, text)
    }
    const bare = async (text: string) => (await server.sql(text)).rows

    test('reads see the filter\'s rows only, whatever the wording', async () => {
      for (const text of [
        'SELECT * FROM orders ORDER BY id', 'SELECT id FROM public.orders o WHERE o.id > 2 ORDER BY 1', 'TABLE orders', 'SELECT count(*), sum(amount), max(team) FROM orders', 'SELECT o FROM orders o ORDER BY id',
        'SELECT row_to_json(o) FROM orders o ORDER BY id', 'SELECT * FROM orders WHERE team = \'blue\'', 'SELECT * FROM orders WHERE true OR team = \'blue\'', 'WITH x AS (SELECT * FROM orders) SELECT * FROM x ORDER BY id',
        'SELECT i.what, o.note FROM items i LEFT JOIN orders o ON o.id = i.order_id ORDER BY i.id', 'SELECT (SELECT max(id) FROM orders)', 'SELECT id FROM orders UNION SELECT id FROM items ORDER BY 1',
        'SELECT DISTINCT team FROM orders', 'SELECT team, count(*) FROM orders GROUP BY team', 'SELECT o.*, count(*) OVER () FROM orders o ORDER BY id', 'SELECT x.id FROM items i, LATERAL (SELECT * FROM orders o WHERE o.id = i.order_id) x ORDER BY 1',
        'SELECT * FROM ONLY orders ORDER BY id', 'SELECT id, ctid FROM orders WHERE id = 1', 'SELECT * FROM events ORDER BY id', 'SELECT * FROM events_old', 'SELECT * FROM events_new', 'SELECT * FROM ONLY events', 'SELECT id FROM orders TABLESAMPLE BERNOULLI (100) ORDER BY 1',
        'SELECT id FROM orders ORDER BY amount DESC LIMIT 3', 'SELECT id FROM orders FOR UPDATE', 'SELECT EXISTS (SELECT 1 FROM orders WHERE team = \'blue\')', 'SELECT id FROM orders GROUP BY id, note HAVING note > \'a\' ORDER BY 1',
        'SELECT string_agg(note, \',\' ORDER BY id) FROM orders', 'VALUES ((SELECT count(*) FROM orders))', 'SELECT * FROM (SELECT * FROM orders) AS s(a, b) ORDER BY a',
      ]) await alike(text)
      await alike('SELECT note FROM orders WHERE id = $1', [11])
      await alike('SELECT note FROM orders WHERE id = ANY($1)', [[1, 11]])
      assert.equal((await alike('SELECT id, secret FROM orders WHERE id = 1')).rows[0]![1], '[hidden]')
    })
    test('a condition that fails on other rows is not evaluated for them', async () => {
      for (const text of [
        'SELECT id FROM orders WHERE 1 / (amount - 100) < 5 ORDER BY id', 'SELECT id FROM orders WHERE (note || \'\')::text <> \'\' AND 1 / (amount - 100) < 5', 'SELECT * FROM (SELECT id, amount - 100 AS d FROM orders) s WHERE 1 / d < 5 ORDER BY 1',
        'SELECT o.id FROM orders o JOIN items i ON 1 / (o.amount - 100) < 5 AND i.id = o.id ORDER BY 1', 'SELECT amount FROM orders GROUP BY amount HAVING 1 / (amount - 100) < 5 ORDER BY 1', 'SELECT id FROM orders WHERE substr(note, 9)::int > 0',
        'SELECT i.id FROM items i WHERE EXISTS (SELECT 1 FROM orders o WHERE 1 / (o.amount - 100) < 5 AND o.id = i.id) ORDER BY 1', 'WITH x AS (SELECT amount a FROM orders) SELECT a FROM x WHERE 1 / (a - 100) < 5 ORDER BY 1',
        'SELECT id FROM orders WHERE CASE WHEN team = \'blue\' THEN 1 / 0 ELSE 1 END = 1 ORDER BY id',
      ]) await alike(text)
      const plain = await session.mask('SELECT note FROM orders WHERE id = 3 AND amount > 5')
      assert.ok(plain.kind === 'rewritten' && !plain.text.includes('OFFSET 0'))
    })
    test('an index on another column is still used', async () => {
      const plain = await session.mask('SELECT note FROM orders WHERE id = 3')
      assert.ok(plain.kind === 'rewritten')
      const own = await server.client()
      await own.query('SET enable_seqscan = off; SET enable_bitmapscan = off')
      const plan = JSON.stringify((await own.query(`EXPLAIN ${plain.text}`)).rows)
      await own.end()
      assert.match(plan, /Index Cond: \(id = 3\)/)
    })
    test('views, functions, statistics, plans and what takes a whole table are refused', async () => {
      for (const text of ['SELECT * FROM over_orders', 'SELECT * FROM by_team', 'SELECT * FROM over_view', 'SELECT * FROM by_function', 'SELECT * FROM odd', 'INSERT INTO odd VALUES (1, \'x\')', 'UPDATE odd SET squad = \'x\' WHERE id = 1',
        'EXPLAIN SELECT * FROM orders', 'EXPLAIN ANALYZE SELECT * FROM orders WHERE id = 1', 'EXPLAIN ANALYZE DELETE FROM orders', 'SELECT * FROM pg_stats WHERE tablename = \'orders\'', 'TRUNCATE orders', 'TRUNCATE items, orders', 'TRUNCATE items CASCADE', 'TRUNCATE events_old',
        'DROP TABLE orders', 'DROP TABLE public.orders CASCADE', 'DROP SCHEMA public CASCADE', 'DROP OWNED BY app', 'ALTER TABLE orders RENAME TO o2', 'ALTER TABLE orders RENAME team TO t', 'DO $$ BEGIN PERFORM 1; END $$',
        'COPY orders FROM STDIN', 'COPY orders (id, team) FROM STDIN', 'COPY events_old FROM STDIN', 'CREATE VIEW v AS SELECT * FROM orders', 'CREATE RULE r AS ON INSERT TO orders DO ALSO SELECT 1', 'CREATE INDEX ON orders ((1 / (amount - 100)))', 'CREATE UNIQUE INDEX ON orders (amount)', 'CREATE INDEX ON orders (id) WHERE 1 / (amount - 100) > 0',
        'MERGE INTO orders o USING items i ON o.id = i.id WHEN MATCHED THEN DELETE', 'ALTER TABLE events DETACH PARTITION events_old']) await refused(text)
    })
    test('COPY out and cursors give the filter\'s rows', async () => {
      for (const text of ['COPY orders TO STDOUT', 'COPY orders (id, note) TO STDOUT', 'COPY (SELECT * FROM orders) TO STDOUT', 'DECLARE c CURSOR FOR SELECT * FROM orders', 'CREATE TABLE mine AS SELECT * FROM orders', 'PREPARE p AS SELECT * FROM orders', 'INSERT INTO items (id) SELECT id FROM orders']) {
        const made = await session.mask(text)
        assert.ok(made.kind === 'rewritten' && /WHERE .*team/.test(made.text), `${text} ${JSON.stringify(made)}`)
      }
    })
    test('a view with a filter of its own is read through it', async () => {
      const own = await MaskedSession.open(server, 'postgres', 'app', maskOf([...filters, ...filtersOf(['public.by_team', 'team = identity.groups'])]))
      const run = await own.run('SELECT * FROM by_team')
      assert.deepEqual(run.rows, [['red', '5', '150']], JSON.stringify(run))
      assert.equal((await own.mask('SELECT * FROM over_view')).kind, 'refused')
      await own.close()
    })
    test('UPDATE and DELETE reach the filter\'s rows only', async () => {
      const untouched = async (text: string, given?: unknown[]) => {
        const was = await bare('SELECT * FROM orders WHERE team = \'blue\' ORDER BY id')
        await session.client.query('BEGIN')
        const run = await session.run(text, given)
        assert.equal(run.error, null, `${text} ${JSON.stringify(run.result)}`)
        assert.notEqual(run.result.kind, 'refused', JSON.stringify(run.result))
        await session.client.query('COMMIT')
        assert.deepEqual(await bare('SELECT * FROM orders WHERE team = \'blue\' ORDER BY id'), was, text)
        return run
      }
      await untouched('UPDATE orders SET note = \'x\'')
      assert.deepEqual(await bare('SELECT DISTINCT note FROM orders WHERE team = \'red\''), [{ note: 'x' }])
      await untouched('UPDATE public.orders AS o SET note = \'y\' WHERE o.id > 0 OR true RETURNING o.id')
      await untouched('UPDATE orders SET note = \'z\' FROM items i WHERE i.order_id = orders.id AND lower(i.what) LIKE \'item%\'')
      await untouched('UPDATE orders o SET amount = amount + 1 WHERE 1 / (amount - 100) < 5')
      await untouched('UPDATE orders SET note = $1 WHERE id IN (1, 11)', ['w'])
      await untouched('WITH gone AS (DELETE FROM orders WHERE id = 5 OR id = 15 RETURNING id) SELECT * FROM gone')
      await untouched('DELETE FROM orders USING items WHERE items.id = orders.id AND orders.id >= 4')
      await untouched('WITH a AS (UPDATE orders SET note = \'q\' RETURNING id, note), b AS (SELECT 1) SELECT id, note FROM a;')
      await untouched('UPDATE orders SET team = \'red\' WHERE id = 11')
      await untouched('DELETE FROM orders')
      assert.deepEqual(await bare('SELECT count(*) FROM orders WHERE team = \'red\''), [{ count: '0' }])
      await server.sql(`INSERT INTO orders SELECT g, 'red', g * 10, 'mine ' || g, 'MARKER', 'r' || g FROM generate_series(1, 5) g`)
      await refused('DELETE FROM orders WHERE CURRENT OF c')
    })
    test('what would leave the filter is not stored', async () => {
      const outside = async (text: string, given?: unknown[]) => {
        const run = await session.run(text, given)
        assert.match(run.error ?? `no error: ${JSON.stringify(run.result)}`, /sluice.outside_the_row_filter/, text)
      }
      const stored = async (text: string, given?: unknown[]) => { const run = await session.run(text, given); assert.equal(run.error, null, `${text} ${JSON.stringify(run)}`); assert.notEqual(run.result.kind, 'refused', JSON.stringify(run.result)) }
      await outside('INSERT INTO orders (id, team) VALUES (101, \'blue\')')
      await outside('INSERT INTO orders (id, team) VALUES (101, \'red\'), (102, \'blue\')')
      await outside('INSERT INTO orders VALUES (101, $1)', ['blue'])
      await outside('INSERT INTO orders (team, id) SELECT \'blue\', 101')
      await outside('INSERT INTO events_new VALUES (9, \'blue\', \'2025-01-01\')')
      await outside('UPDATE orders SET team = \'blue\' WHERE id = 1')
      await outside('UPDATE orders SET (team) = (\'blue\') WHERE id = 1').catch(async () => refused('UPDATE orders SET (team) = ROW(\'blue\') WHERE id = 1'))
      await outside('UPDATE orders SET team = $1 WHERE id = $2', ['blue', 1])
      for (let i = 0; i < 8; i++) await stored('UPDATE orders SET team = $1, note = $3 WHERE id = $2', ['red', 1, `n${i}`])
      await stored('INSERT INTO orders (id, team, amount) VALUES (103, \'red\', 1), (104, $1::varchar, 2)', ['red'])
      await stored('INSERT INTO orders (id, team) VALUES (103, \'red\') ON CONFLICT (id) DO NOTHING')
      await stored('INSERT INTO orders (id, team, note) VALUES (103, \'red\', \'up\') ON CONFLICT (id) DO UPDATE SET note = excluded.note, team = excluded.team RETURNING id')
      assert.deepEqual(await bare('SELECT note FROM orders WHERE id = 103'), [{ note: 'up' }])
      await stored('INSERT INTO orders (id, team, note) VALUES (11, \'red\', \'up\') ON CONFLICT (id) DO UPDATE SET note = excluded.note')
      assert.deepEqual(await bare('SELECT note, team FROM orders WHERE id = 11'), [{ note: 'FOREIGN 11', team: 'blue' }])
      assert.match((await session.run('INSERT INTO orders (id, team) VALUES (105, \'red\'), (106, \'redredredredredredredredred\')')).error ?? '', /too long|outside/)
      assert.deepEqual(await bare('SELECT id FROM orders WHERE id IN (101, 102, 105, 106)'), [])
      for (const text of ['INSERT INTO orders (id) VALUES (101)', 'INSERT INTO orders DEFAULT VALUES', 'INSERT INTO orders (id, team) VALUES (101, DEFAULT)', 'INSERT INTO orders (id, team) SELECT id, what FROM items', 'INSERT INTO orders SELECT * FROM orders',
        'INSERT INTO orders (id, team) VALUES (101, \'r\' || \'ed\')', 'INSERT INTO orders (id, team) VALUES (101, (SELECT \'red\'))', 'INSERT INTO orders (id, team) SELECT 1, \'red\' UNION SELECT 2, \'blue\'', 'UPDATE orders SET team = note', 'UPDATE orders SET team = DEFAULT', 'UPDATE orders SET (team, note) = (\'red\', \'x\')',
        'INSERT INTO orders (id, team) VALUES (103, \'red\') ON CONFLICT (id) DO UPDATE SET team = \'blue\'', 'INSERT INTO orders (id, team) VALUES (103, \'red\') ON CONFLICT (id) DO UPDATE SET note = \'x\' WHERE true', 'INSERT INTO orders (id, (team).x) VALUES (1, \'red\')',
        'WITH a AS (INSERT INTO orders (id) VALUES (1) RETURNING id) SELECT * FROM a']) { const made = await session.mask(text); assert.equal(made.kind, 'refused', `${text} ${JSON.stringify(made)}`) }
      await server.sql('DELETE FROM orders WHERE id > 100')
    })
  })
}
