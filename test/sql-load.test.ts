// The catalog as real servers tell it, and what each of them must show: versions of the suite, and 14 to 18 for the queries themselves.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type pg from 'pg'
import type { Catalog } from '../src/sql/catalog.ts'
import { changedQuery, deserialise, movedQuery, serialise } from '../src/sql/load.ts'
import { loadCatalog, probe } from './servers/catalog.ts'
import { ALL_VERSIONS, startPostgres, type TestServer } from './servers/postgres.ts'

const SCHEMA = `
CREATE SCHEMA hr;
CREATE TABLE people(id int PRIMARY KEY, name text NOT NULL, ssn varchar(11) UNIQUE, upper_ssn text GENERATED ALWAYS AS (upper(ssn)) STORED, pay numeric(12,2));
CREATE INDEX ON people(name, (lower(name)));
CREATE TABLE hr.kid(more int) INHERITS (people);
CREATE TABLE log(at date, who int REFERENCES people(id)) PARTITION BY RANGE (at);
CREATE TABLE log1 PARTITION OF log FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE FUNCTION hr.f(a int, b text[]) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION hr.atomic() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM people; END;
CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER tr BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION t();
CREATE VIEW v AS SELECT name, hr.f(id, NULL) FROM people;
CREATE VIEW vv AS SELECT * FROM v;
CREATE OPERATOR hr.%% (leftarg = int, rightarg = text[], procedure = hr.f);
CREATE DOMAIN hr.positive AS int CHECK (hr.f(VALUE, NULL) = 1);
`

for (const version of ALL_VERSIONS) {
  describe(`the catalog of PostgreSQL ${version}`, () => {
    let server: TestServer
    let client: pg.Client
    let catalog: Catalog
    before(async () => {
      server = await startPostgres({ version })
      await server.sql(SCHEMA)
      client = await server.client()
      catalog = await loadCatalog(client)
    })
    after(async () => { await client.end(); await server.stop() })

    test('knows columns, keys, parents, generated columns, triggers and foreign keys', () => {
      const people = catalog.byName.get('public.people')!
      assert.deepEqual(people.columns.map((c) => [c.name, c.typeName, c.notNull, c.generated]), [
        ['id', 'integer', true, ''], ['name', 'text', true, ''], ['ssn', 'character varying(11)', false, ''], ['upper_ssn', 'text', false, 's'], ['pay', 'numeric(12,2)', false, '']])
      assert.deepEqual(people.columns[3]!.generatedFrom, [3])
      assert.deepEqual(people.primaryKey, [1])
      assert.deepEqual(people.uniqueKeys, [[1], [3]])
      assert.deepEqual(people.indexes, [[1], [3], [2, 0]])
      assert.deepEqual(people.triggers.map((t) => t.name), ['tr'])
      assert.equal(catalog.routineById.get(people.triggers[0]!.routine)!.name, 't')
      assert.deepEqual(catalog.byName.get('hr.kid')!.parents, [people.oid])
      assert.deepEqual(catalog.byName.get('public.log')!.references, [people.oid])
      assert.deepEqual(catalog.byName.get('public.log')!.partitionKey, [1])
      assert.deepEqual(catalog.byName.get('public.log1')!.parents, [catalog.byName.get('public.log')!.oid])
    })
    test('knows what views read and call, and the routines behind operators and types', () => {
      const f = catalog.routines.get('f')![0]!
      assert.deepEqual([f.schema, f.arguments, f.language, f.volatility, f.kind], ['hr', ['integer', 'text[]'], 'sql', 'i', 'f'])
      assert.match(catalog.routines.get('atomic')![0]!.body, /people/)
      const v = catalog.byName.get('public.v')!
      assert.deepEqual([v.kind, v.reads, v.calls], ['v', [catalog.byName.get('public.people')!.oid], [f.oid]])
      assert.deepEqual(catalog.byName.get('public.vv')!.reads, [v.oid])
      assert.deepEqual(catalog.operators.get('%%')![0]!.routines, [f.oid])
      assert.deepEqual(catalog.types.get('positive')![0]!.routines, [f.oid])
      assert.ok(catalog.schemas.has('hr') && catalog.schemas.has('pg_catalog') && catalog.byName.has('pg_catalog.pg_class'))
    })
    test('survives the way through JSON', () => {
      assert.deepEqual(deserialise(JSON.parse(JSON.stringify(serialise(catalog)))), catalog)
    })
    test('shows any DDL and nothing but DDL in its fingerprint', async () => {
      const ask = async (sql: string) => Object.values((await client.query(sql)).rows[0])[0]
      const steps = ['ALTER TABLE people RENAME COLUMN pay TO wage', 'ALTER TABLE people ADD x int', 'ALTER TABLE people DROP x', `CREATE OR REPLACE FUNCTION hr.f(a int, b text[]) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2'`,
        'CREATE SCHEMA s2', 'ALTER SCHEMA s2 RENAME TO s3', 'DROP SCHEMA s3', 'CREATE OR REPLACE VIEW v AS SELECT name, 1 AS f FROM people', 'DROP TRIGGER tr ON people', 'ALTER TABLE people RENAME TO persons', 'ALTER TABLE persons RENAME TO people']
      let last = await ask(changedQuery)
      for (const step of steps) {
        const moved = await ask(movedQuery)
        await server.sql(step)
        assert.notEqual(await ask(movedQuery), moved, step)
        const now = await ask(changedQuery)
        assert.notEqual(now, last, step)
        last = now
      }
      await server.sql(`INSERT INTO people(id, name) VALUES (9, 'x'); CREATE TEMP TABLE scratch(a int, b text); ANALYZE people`)
      assert.equal(await ask(changedQuery), last)
    })
    test('tells of a session what only its own connection knows, whatever that session made', async () => {
      const mine = await server.client()
      await mine.query(`CREATE FUNCTION hr.no(oid, oid) RETURNS bool LANGUAGE sql AS 'SELECT false'; CREATE OPERATOR hr.= (leftarg = oid, rightarg = oid, procedure = hr.no);
        CREATE TEMP TABLE people(a int, b varchar(3)); CREATE TEMP VIEW look AS SELECT * FROM hr.kid; SET search_path = hr, pg_catalog, public`)
      const state = await probe(mine)
      assert.deepEqual(state.searchPath, [state.temporary.get('people')!.schema, 'hr', 'pg_catalog', 'public'])
      assert.deepEqual([state.role, state.standardConformingStrings, state.clientEncoding], ['gwsuper', true, 'UTF8'])
      assert.deepEqual(state.temporary.get('people')!.columns.map((c) => [c.name, c.typeName]), [['a', 'integer'], ['b', 'character varying(3)']])
      assert.deepEqual(state.temporary.get('look')!.reads, [catalog.byName.get('hr.kid')!.oid])
      await mine.end()
    })
  })
}
