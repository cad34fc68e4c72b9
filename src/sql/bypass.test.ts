// Statements that evade, or once evaded, a reading of SQL. Append only: each line stays forever.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NameContext } from './catalog.ts'
import { CATALOG, CONTEXT, catalogOf, gravest, read, routine, table } from './sample.test.ts'

const ADMIN: readonly string[] = [
  // functions that reach files, the network, configuration, locks, other sessions, SQL in strings
  `SELECT pg_read_file('/etc/passwd')`, `SELECT pg_catalog.pg_read_file('x')`, `SELECT "pg_read_file"('x')`, `SELECT PG_READ_FILE('x')`, `SELECT U&"pg_re\\0061d_file"('x')`,
  `SELECT * FROM pg_ls_dir('.') d`, `SELECT * FROM ROWS FROM (pg_ls_dir('.'), generate_series(1,2)) x`, `SELECT lo_import('/etc/passwd')`, `SELECT lo_get(1)`, `SELECT loread(1,2)`, `SELECT pg_sleep(10)`,
  `SELECT 1 WHERE pg_sleep(1) IS NULL`, `SELECT 1 ORDER BY pg_sleep(1)`, `SELECT count(*) FILTER (WHERE pg_sleep(1) IS NULL) FROM orders`, `SELECT sum(1) OVER (ORDER BY pg_sleep(1)) FROM orders`,
  `SELECT 1 FROM orders TABLESAMPLE system (pg_sleep(1)::text::int)`, `SELECT 1 LIMIT pg_sleep(1)::text::int`, `SELECT DISTINCT ON (pg_sleep(1)) 1`, `VALUES (pg_sleep(1))`, `SELECT CASE WHEN true THEN pg_sleep(1) END`,
  `SELECT ARRAY[pg_sleep(1)]`, `SELECT (ARRAY[1])[pg_sleep(1)::text::int]`, `SELECT ROW(pg_sleep(1))`, `SELECT (SELECT pg_sleep(1))`, `SELECT EXISTS (SELECT pg_sleep(1))`, `WITH x AS (SELECT pg_sleep(1)) SELECT 1`,
  `SELECT coalesce(NULL, pg_sleep(1)::text)`, `SELECT greatest(1, pg_sleep(1)::text::int)`, `SELECT xmlelement(name a, pg_sleep(1))`, `SELECT json_object('a': pg_sleep(1)::text)`, `SELECT json_value('1', '$' PASSING pg_sleep(1)::text AS x)`,
  `SELECT * FROM json_table('[]', '$' PASSING pg_sleep(1)::text AS x COLUMNS (a int PATH '$'))`, `SELECT * FROM xmltable('/a' PASSING ((pg_sleep(1)::text)::xml) COLUMNS b text)`,
  `SELECT set_config('log_statement', 'none', false)`, `SELECT pg_catalog.set_config('role', 'x', true)`, `SELECT set_config(name, 'x', false) FROM pg_settings`, `SELECT set_config('search_' || 'path', 'x', false)`,
  `SELECT set_config(setting_name => 'role', new_value => 'x', is_local => false)`, `SELECT pg_reload_conf()`, `SELECT pg_terminate_backend(1)`, `SELECT pg_cancel_backend(pid) FROM pg_stat_activity`, `SELECT query FROM pg_stat_activity`,
  `SELECT * FROM pg_stat_get_activity(NULL)`, `SELECT query_to_xml('delete from accounts', true, true, '')`, `SELECT table_to_xmlschema('customers', true, true, '')`,
  `SELECT database_to_xml(true, true, '')`, `SELECT ts_rewrite('a'::tsquery, 'select t, s from x')`, `SELECT pg_create_logical_replication_slot('a', 'test_decoding')`, `SELECT pg_logical_slot_get_changes('a', NULL, NULL)`,
  `SELECT pg_logical_emit_message(true, 'a', 'b')`, `SELECT pg_switch_wal()`, `SELECT pg_export_snapshot()`, `SELECT txid_status(1)`, `SELECT inet_server_addr()`, `SELECT dblink('host=x', 'select 1')`,
  `SELECT currtid2('customers', '(0,1)')`, `SELECT domain_in('x', 1, 1)`, `SELECT pg_input_is_valid('x', 'public.checked')`, `SELECT pg_stat_reset()`, `SELECT pg_restore_relation_stats('relation', 'x')`,
  `SELECT binary_upgrade_set_next_pg_type_oid(1)`, `SELECT pg_nextoid('pg_class', 'oid', 'x')`, `SELECT lo_creat(-1)`, `SELECT lo_from_bytea(0, '')`, `SELECT lo_put(1, 0, '')`,
  // attribute and functional notation
  `SELECT c.cust_card FROM customers c`, `SELECT (c).cust_card FROM customers c`, `SELECT (1).cust_card`, `SELECT ('/etc/passwd'::text).pg_read_file`, `SELECT x.exec_sql FROM (SELECT 1) x`, `SELECT (x.y).exec_sql FROM (SELECT 1 AS y) x`,
  `SELECT customers.exec_sql FROM customers`, `SELECT public.customers.exec_sql FROM customers`,
  // routines of users, wherever they are called
  `SELECT exec_sql('drop table accounts')`, `SELECT public.exec_sql('x')`, `SELECT gwcase.public.exec_sql('x')`, `CALL purge_orders()`, `CALL public.purge_orders()`, `SELECT * FROM cust_row(1)`, `SELECT (cust_row(1)).*`,
  `INSERT INTO orders(note) VALUES (exec_sql('x'))`, `UPDATE orders SET note = exec_sql('x') WHERE id = 1`, `DELETE FROM orders WHERE id = 1 AND exec_sql('x') IS NULL`, `DELETE FROM orders WHERE id = 1 RETURNING exec_sql('x')`,
  `INSERT INTO orders(id) VALUES (1) ON CONFLICT (id) DO UPDATE SET note = exec_sql('x')`, `INSERT INTO orders(id) VALUES (1) ON CONFLICT (id) WHERE exec_sql('x') IS NULL DO NOTHING`, `COPY (SELECT exec_sql('x')) TO STDOUT`, `COPY orders FROM STDIN WHERE exec_sql('x') IS NULL`,
  `MERGE INTO orders t USING accounts s ON t.id = 1 AND exec_sql('x') IS NULL WHEN MATCHED THEN DO NOTHING`, `EXPLAIN SELECT exec_sql('x')`, `EXPLAIN ANALYZE SELECT exec_sql('x')`, `PREPARE p AS SELECT exec_sql('x')`, `DECLARE c CURSOR FOR SELECT exec_sql('x')`,
  `SELECT status_label('x')`, `SELECT log_customer()`, `SELECT audit.log_customer()`, `SELECT not_there('x')`, `SELECT no_schema.lower('x')`, `SELECT OPERATOR(hr.%%) 1`, `SELECT 1 OPERATOR(hr.+) 1`, `SELECT * FROM orders ORDER BY id USING OPERATOR(hr.<)`,
  `SELECT 1 OPERATOR(hr.=) ANY (SELECT 1)`, `SELECT 'x'::checked`, `SELECT CAST('x' AS public.checked)`, `SELECT checked('x')`, `SELECT '{x}'::checked[]`, `CREATE TABLE t (a checked)`, `SELECT * FROM json_to_record('{}') AS x(a checked)`,
  `SELECT * FROM orders TABLESAMPLE mine(1)`,
  // relations of the catalogs that are no catalog
  'SELECT * FROM pg_authid', 'TABLE pg_shadow', 'SELECT rolpassword FROM pg_catalog.pg_authid', 'SELECT umoptions FROM pg_user_mappings', 'SELECT * FROM pg_largeobject', 'SELECT * FROM pg_statistic', 'SELECT * FROM pg_stats',
  'SELECT * FROM pg_stats_ext', 'SELECT * FROM pg_statistic_ext_data', 'SELECT query FROM pg_stat_statements', 'SELECT query FROM public.pg_stat_statements', 'SELECT * FROM pg_hba_file_rules', 'SELECT * FROM pg_file_settings', 'SELECT * FROM pg_config',
  'SELECT subconninfo FROM pg_subscription', 'COPY pg_authid TO STDOUT', 'COPY (TABLE pg_shadow) TO STDOUT', 'SELECT * FROM pg_replication_slots', 'SELECT option_value FROM information_schema.user_mapping_options', 'SELECT * FROM pg_locks',
  'SELECT (SELECT rolpassword FROM pg_authid LIMIT 1)', 'SELECT 1 FROM orders o, LATERAL (SELECT * FROM pg_authid) x', 'WITH pg_class AS (SELECT * FROM pg_authid) SELECT * FROM pg_class', 'SELECT * FROM pg_stat_activity, orders',
  `UPDATE pg_class SET relname = 'x' WHERE oid = 1`, 'DELETE FROM pg_catalog.pg_proc WHERE oid = 1', `UPDATE pg_settings SET setting = 'off' WHERE name = 'x'`, 'INSERT INTO pg_catalog.pg_description VALUES (1)', 'COPY pg_class FROM STDIN',
  // files, programs, code
  `COPY orders TO '/tmp/x'`, `COPY orders FROM '/tmp/x'`, `COPY orders TO PROGRAM 'cat'`, `COPY (SELECT 1) TO PROGRAM 'cat'`, `COPY orders FROM PROGRAM 'cat'`, `copy/**/orders/**/to/**/program/**/$$x$$`, `LOAD 'x'`, `DO $$ $$`, `DO LANGUAGE plpythonu $$ $$`, `DO 'x' LANGUAGE sql`,
  // settings and roles
  'SET ROLE x', 'SET LOCAL ROLE x', `SET SESSION AUTHORIZATION 'x'`, 'RESET ROLE', 'RESET SESSION AUTHORIZATION', `SET role TO 'x'`, 'SET "role" = x', 'SET standard_conforming_strings = off', 'SET standard_conforming_strings TO false', `SET standard_conforming_strings = '0'`,
  'SET LOCAL standard_conforming_strings = off', `SET client_encoding = 'SJIS'`, `SET NAMES 'GBK'`, `SET backslash_quote = on`, `SET session_replication_role = replica`, `SET app.user_id = '5'`, `SET log_statement = 'none'`, `SET work_mem = '10GB'`, 'SET xmlbinary = hex',
  'SET standard_conforming_strings FROM CURRENT', `SET transform_null_equals = on`, `SET debug_print_plan = on`, `SET local_preload_libraries = 'x'`, `SET dynamic_library_path = 'x'`, `ALTER SYSTEM SET x = 1`, `ALTER SYSTEM RESET ALL`,
  `ALTER DATABASE x SET y = 1`, `ALTER ROLE x SET y = 1`, `ALTER ROLE ALL SET search_path = hr`, 'CREATE USER x', 'CREATE GROUP x', `ALTER USER x PASSWORD 'y'`, 'DROP USER x', 'GRANT x TO y', 'GRANT SELECT ON orders TO y', 'REVOKE ALL ON orders FROM y',
  'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO x', 'REASSIGN OWNED BY x TO y', 'DROP OWNED BY x', `SECURITY LABEL ON TABLE orders IS 'x'`, 'COMMENT ON ROLE x IS NULL', `COMMENT ON TABLE orders IS 'x'`,
  // DDL
  'DROP TABLE accounts', 'DROP VIEW IF EXISTS v_contact', 'TRUNCATE orders', 'CREATE TABLE x (a int)', 'CREATE TEMP TABLE x (a int)', 'SELECT 1 AS a INTO x', 'SELECT * INTO TEMP x FROM orders', 'WITH a AS (SELECT 1) SELECT * INTO x FROM a', 'CREATE TABLE x AS SELECT 1', 'CREATE TABLE x AS EXECUTE p',
  'CREATE VIEW x AS SELECT 1', 'CREATE MATERIALIZED VIEW x AS SELECT 1', 'REFRESH MATERIALIZED VIEW mv_people', 'CREATE INDEX ON orders (id)', 'CREATE SCHEMA x CREATE TABLE y (a int)', 'ALTER TABLE orders ADD COLUMN x int', 'ALTER TABLE orders DISABLE TRIGGER ALL',
  'CREATE RULE r AS ON SELECT TO orders DO INSTEAD SELECT 1', 'CREATE TRIGGER t BEFORE UPDATE ON orders EXECUTE FUNCTION f()', 'CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f()', 'CREATE POLICY p ON orders USING (true)', 'CREATE EXTENSION dblink',
  'ALTER EXTENSION hstore UPDATE', `CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw`, 'CREATE USER MAPPING FOR x SERVER s', 'IMPORT FOREIGN SCHEMA x FROM SERVER s INTO y', `CREATE FOREIGN TABLE f (a int) SERVER s`, 'CREATE PUBLICATION p FOR ALL TABLES',
  `CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p`, 'DROP SUBSCRIPTION s', 'CREATE CAST (text AS int) WITH FUNCTION f(text)', 'CREATE OPERATOR = (leftarg = int, rightarg = int, procedure = f)', 'CREATE AGGREGATE a (int) (sfunc = f, stype = int)', 'CREATE TYPE t AS ENUM ()',
  'CREATE DOMAIN d AS int', 'CREATE CONVERSION c FOR $$UTF8$$ TO $$LATIN1$$ FROM f', 'CREATE LANGUAGE x', 'CREATE DATABASE x', 'DROP DATABASE x', `CREATE TABLESPACE x LOCATION '/x'`, 'VACUUM', 'VACUUM FULL orders', 'ANALYZE orders', 'CLUSTER orders', 'REINDEX TABLE orders', 'CHECKPOINT',
  'CREATE STATISTICS s ON id, note FROM orders', 'ALTER TABLE orders RENAME TO x', 'ALTER FUNCTION cust_card(int) RENAME TO lower', 'ALTER FUNCTION f(int) SET SCHEMA pg_catalog', `PREPARE TRANSACTION 'x'`, `COMMIT PREPARED 'x'`, `ROLLBACK PREPARED 'x'`,
  `SELECT pg_catalog.set_config('client_encoding', 'SJIS', true)`, 'SET LOCAL client_encoding TO LATIN1', `WITH x AS (SELECT set_config('role', 'x', false)) SELECT 1`, `UPDATE pg_settings SET setting = 'x' WHERE name = 'role'`, 'SELECT 1 FROM pg_stat_get_backend_activity(1)',
  'SELECT * FROM pg_show_all_file_settings()', 'SELECT * FROM pg_hba_file_rules()', 'TABLE pg_user_mappings', 'SELECT s FROM pg_subscription s', 'SELECT to_json(s) FROM pg_subscription s', 'SELECT s.subconninfo FROM pg_subscription AS s', 'COPY pg_user_mappings (umoptions) TO STDOUT',
  `EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1`, `EXPLAIN (ANALYZE) CREATE MATERIALIZED VIEW x AS SELECT 1`,
]
for (const text of ADMIN) test(`refused without a policy of its own: ${text.slice(0, 90)}`, async () => { assert.ok(['admin', 'unknown'].includes(await gravest(text)), text) })

test('a statement runs whatever EXPLAIN says of it when ANALYZE may be on', async () => {
  for (const text of ['EXPLAIN ANALYZE DELETE FROM accounts', 'EXPLAIN (ANALYZE) DELETE FROM accounts', 'EXPLAIN (ANALYZE true) DELETE FROM accounts', 'EXPLAIN (ANALYZE 1) DELETE FROM accounts', 'EXPLAIN (ANALYZE on, ANALYZE off) DELETE FROM accounts', 'EXPLAIN (FORMAT JSON, "analyze" yes) DELETE FROM accounts']) {
    assert.ok((await read(text))[0]!.effects.some(({ operation, access }) => operation === 'sql.delete' && access === 'write'), text)
  }
  for (const text of ['EXPLAIN DELETE FROM accounts', 'EXPLAIN (ANALYZE off) DELETE FROM accounts', 'EXPLAIN (ANALYZE 0) DELETE FROM accounts', 'EXPLAIN CREATE TABLE x AS SELECT 1', 'EXPLAIN SELECT 1 INTO x']) assert.equal(await gravest(text), 'read', text)
})

test('a prepared statement is what it prepares, within a text and by the session\'s own record', async () => {
  const deletes = async (text: string, options = {}) => (await read(text, options)).at(-1)!.effects.some(({ operation }) => operation === 'sql.delete')
  assert.ok(await deletes('PREPARE p AS DELETE FROM accounts; EXECUTE p'))
  assert.ok(await deletes('PREPARE p AS DELETE FROM accounts; EXPLAIN ANALYZE EXECUTE p'))
  assert.ok(await deletes('PREPARE p AS SELECT 1; DEALLOCATE p; PREPARE p AS DELETE FROM accounts; EXECUTE p'))
  assert.equal(await gravest('PREPARE p AS SELECT 1; DEALLOCATE p; EXECUTE p'), 'unknown')
  assert.equal(await gravest('EXECUTE never_made'), 'unknown')
  const [reading] = await read('DELETE FROM accounts')
  assert.ok(await deletes('EXECUTE q', { prepared: (name: string) => name === 'q' ? reading! : null }))
})

test('a user\'s overload of a built-in name makes every unqualified call of it unknown', async () => {
  const overloaded = catalogOf([...CATALOG.relations.values()], [routine('public', 'lower', 'character varying'), routine('hr', 'upper', 'text')])
  assert.equal(await gravest(`SELECT lower('x')`, {}, CONTEXT, overloaded), 'admin')
  assert.equal(await gravest(`SELECT pg_catalog.lower('x')`, {}, CONTEXT, overloaded), 'read')
  assert.equal(await gravest(`SELECT upper('x')`, {}, CONTEXT, overloaded), 'read')
  assert.equal(await gravest(`SELECT upper('x')`, {}, { searchPath: ['pg_catalog', 'hr'], temporary: new Map() }, overloaded), 'admin')
  assert.equal(await gravest(`SELECT upper('x')`, {}, null, overloaded), 'admin')
  assert.equal(await gravest(`SET search_path = hr; SELECT upper('x')`, {}, CONTEXT, overloaded), 'admin')
  assert.equal(await gravest(`SELECT set_config('search_path', 'hr', false); SELECT upper('x')`, {}, CONTEXT, overloaded), 'admin')
})

test('what a text makes is not taken for what was there before', async () => {
  const last = async (text: string) => { const effects = (await read(text)).at(-1)!.effects; return effects.map(({ access }) => access) }
  assert.ok((await last('CREATE FUNCTION public.lower(varchar) RETURNS text LANGUAGE plpgsql AS $$ $$; SELECT lower($1)')).includes('admin'))
  assert.ok((await last('CREATE OPERATOR public.|| (leftarg = text, rightarg = text, procedure = f); SELECT $1 || $2')).includes('admin'))
  assert.ok((await last('ALTER FUNCTION cust_card(int) RENAME TO upper; SELECT upper($1)')).includes('admin'))
  assert.ok((await last('DO $$ $$; SELECT upper($1)')).includes('admin'))
  const shadowed = (await read('CREATE TEMP TABLE customers (id int); SELECT * FROM customers')).at(-1)!
  assert.equal(shadowed.objects, 'unknown')
  assert.equal((await read('ALTER TABLE customers RENAME TO people; SELECT * FROM people')).at(-1)!.objects, 'unknown')
  assert.equal((await read('SET search_path = hr; SELECT * FROM customers')).at(-1)!.objects, 'unknown')
  assert.equal((await read('BEGIN; SELECT * FROM customers')).at(-1)!.objects.toString(), 'public.customers')
  assert.equal((await read('ROLLBACK; SELECT * FROM customers')).at(-1)!.objects, 'unknown')
})

test('the body of a function counts, and a listed name can\'t be taken over', async () => {
  const operations = async (text: string, options = {}) => (await read(text, options)).flatMap(({ effects }) => effects.map(({ operation }) => operation))
  assert.ok((await operations('CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ DELETE FROM accounts; DROP TABLE orders $$')).includes('sql.drop.table'))
  assert.ok((await operations('CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC DELETE FROM accounts; END')).includes('sql.delete'))
  assert.ok((await operations('CREATE FUNCTION f() RETURNS text LANGUAGE sql RETURN exec_sql($$x$$)')).includes('sql.call'))
  assert.ok((await operations('CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ this is no sql $$')).includes('sql.call'))
  assert.ok((await operations(`CREATE FUNCTION f() RETURNS int AS 'x', 'y' LANGUAGE C`)).includes('sql.load'))
  assert.ok((await operations(`CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql SET role = x AS $$ $$`)).includes('sql.role'))
  const functions = ['public.status_label(text)']
  assert.equal(await gravest(`SELECT status_label('x')`, { functions }), 'read')
  assert.ok((await operations('CREATE OR REPLACE FUNCTION status_label(text) RETURNS text LANGUAGE plpgsql AS $$ $$', { functions })).includes('sql.configure'))
  assert.ok((await operations('CREATE OR REPLACE FUNCTION audit.log_customer() RETURNS trigger LANGUAGE plpgsql AS $$ $$')).includes('sql.call'))
  assert.equal(await gravest(`SELECT hr.status_label('x')`, { functions }), 'admin')
})

test('an extension\'s own operators and types are no doubt on all others; what is volatile behind one is', async () => {
  const vector = routine('public', 'vector_eq', 'vector,vector', { extension: 'vector', language: 'c', volatility: 'i' })
  const dblink = routine('public', 'dblink', 'text,text', { extension: 'dblink', language: 'c', volatility: 'v' })
  const made = catalogOf([...CATALOG.relations.values()], [vector, dblink], { operators: [{ schema: 'public', name: '=', routines: [vector.oid] }, { schema: 'public', name: '@@@', routines: [dblink.oid] }], types: [{ schema: 'public', name: 'vector', routines: [vector.oid] }] })
  assert.equal(await gravest(`SELECT id FROM orders WHERE id = 1 AND note::vector = '[1]'`, {}, CONTEXT, made), 'read')
  assert.equal(await gravest(`SELECT 'a' @@@ 'b'`, {}, CONTEXT, made), 'admin')
  assert.equal(await gravest(`SELECT vector_eq(note, note) FROM orders`, {}, CONTEXT, made), 'admin')
})

test('what hides in clauses and DDL counts beside the statement itself', async () => {
  const operations = async (text: string, catalog = CATALOG) => (await read(text, {}, CONTEXT, catalog)).flatMap(({ effects }) => effects.map(({ operation, access }) => `${operation}:${access}`))
  for (const text of [`CREATE VIEW v AS SELECT exec_sql('x')`, `CREATE TABLE t (a text DEFAULT exec_sql('x'))`, `CREATE TABLE t (a text CHECK (exec_sql(a) IS NULL))`, `CREATE TABLE t (a text GENERATED ALWAYS AS (exec_sql('x')) STORED)`, 'CREATE INDEX ON orders (exec_sql(note))',
    `CREATE INDEX ON orders (id) WHERE exec_sql('x') IS NULL`, `ALTER TABLE orders ADD COLUMN x text DEFAULT exec_sql('x')`, 'ALTER TABLE orders ALTER COLUMN note TYPE text USING exec_sql(note)', `CREATE TABLE t PARTITION OF orders FOR VALUES FROM (exec_sql('x')) TO (1)`, `CREATE TABLE t (a int) PARTITION BY RANGE (exec_sql('x'))`,
    'CREATE TABLE t (a int, EXCLUDE USING gist (a WITH OPERATOR(hr.%%)))', 'CREATE TRIGGER t AFTER INSERT ON orders EXECUTE FUNCTION exec_sql()', `SELECT 1 FROM orders WINDOW w AS (PARTITION BY exec_sql('x'))`, `SELECT array_agg(1 ORDER BY exec_sql('x'))`, `UPDATE orders SET (id, note) = (SELECT 1, exec_sql('x')) WHERE id = 1`,
    `UPDATE orders SET note[exec_sql('x')::int] = 1 WHERE id = 1`, `EXECUTE p(exec_sql('x'))`]) assert.ok((await operations(text)).includes('sql.call:admin'), text)
  assert.ok((await operations(`ALTER TABLE orders ALTER COLUMN note TYPE text USING 'gone'`)).includes('sql.update:write'))
  assert.ok((await operations(`COPY orders TO STDOUT (ENCODING 'SJIS')`)).includes('sql.configure:admin'))
  assert.ok((await operations('CREATE FUNCTION public.initcap(text) RETURNS text LANGUAGE plpgsql AS $$ $$')).includes('sql.configure:admin'))
  assert.equal((await read(`SELECT setval('invoice_seq', 1)`))[0]!.effects.some(({ operation, bounded }) => operation === 'sql.update' && !bounded), true)
  const equality = catalogOf([...CATALOG.relations.values()], [], { operators: [{ schema: 'public', name: '=', routines: [] }] })
  for (const text of ['SELECT * FROM orders JOIN accounts USING (id)', 'SELECT * FROM orders NATURAL JOIN accounts', 'SELECT CASE id WHEN 1 THEN 2 END FROM orders', 'SELECT id IN (SELECT 1) FROM orders', 'SELECT * FROM orders WHERE id = 1', 'SELECT nullif(id, 1) FROM orders']) assert.ok((await operations(text, equality)).includes('sql.call:admin'), text)
})

test('grammar of newer servers is a function call on older ones', async () => {
  const old = { ...CATALOG, serverVersion: 150000 }
  for (const text of [`SELECT JSON_OBJECT('a': 1)`, `SELECT JSON_VALUE('1', '$')`, `SELECT JSON_SCALAR(1)`, `SELECT JSON_ARRAY(1)`, `SELECT * FROM JSON_TABLE('1', '$' COLUMNS (a int))`]) {
    assert.equal(await gravest(text), 'read', text)
    assert.equal(await gravest(text, {}, CONTEXT, old), 'admin', text)
  }
  assert.equal(await gravest(`SELECT any_value(id) FROM orders`, {}, CONTEXT, old), 'admin')
})

test('a temporary relation of the session hides one of the same name', async () => {
  const hidden: NameContext = { searchPath: ['pg_temp_3', 'pg_catalog', 'public'], temporary: new Map([['customers', table('pg_temp_3', 'customers', 'id x', { temporary: true })]]) }
  assert.deepEqual((await read('SELECT * FROM customers', {}, hidden))[0]!.objects, ['pg_temp.customers'])
  assert.deepEqual((await read('SELECT * FROM public.customers', {}, hidden))[0]!.objects, ['public.customers'])
  assert.equal((await read('SELECT * FROM pg_temp_9.customers', {}, hidden))[0]!.objects, 'unknown')
})
