// Views over masked columns, masked from outside: what a client gets of them must not depend on the hidden values. Two databases that differ
// in these values only are asked the same; and the server's own analysis says which columns each view uses.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { viewLineage } from '../src/sql/definitions.ts'
import { effectsOf } from '../src/sql/effects.ts'
import { Unfollowed } from '../src/sql/flow.ts'
import { parseShort } from '../src/sql/grammar.ts'
import type { MaskOf } from '../src/sql/mask-index.ts'
import { maskIndex } from '../src/sql/mask-index.ts'
import { MaskedSession } from './servers/masked.ts'
import { startPostgres, SUITE_VERSIONS, type TestServer } from './servers/postgres.ts'

const TABLES = `
CREATE TABLE people(id int PRIMARY KEY, name text NOT NULL, ssn text, card varchar(16), pay numeric(12,2), born date, team int, codes text[], notes text);
CREATE TABLE teams(id int PRIMARY KEY, label text);
INSERT INTO teams SELECT g, 'team ' || g FROM generate_series(1, 4) g;
CREATE SCHEMA hr; CREATE TABLE hr.people(id int, ssn text);
INSERT INTO hr.people VALUES (1, 'unmasked');
CREATE FUNCTION shout(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';
CREATE FUNCTION loud(x text) RETURNS text LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT upper(x); END;
CREATE FUNCTION says(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE 'says %', $1; RETURN 'said'; END $$;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 * 2; END';
CREATE FUNCTION card_of(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT card FROM public.people WHERE id = $1';
CREATE FUNCTION holders(text) RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT id FROM public.people WHERE ssn = $1';
CREATE FUNCTION label_of(int) RETURNS text LANGUAGE sql AS 'SELECT label FROM public.teams WHERE id = $1';
CREATE FUNCTION nested(int) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC SELECT shout(label_of($1)); END;
CREATE FUNCTION with_default(x text DEFAULT 'a' || 'b') RETURNS text LANGUAGE sql STABLE RETURN upper(x);
CREATE FUNCTION by_path(who int) RETURNS text LANGUAGE sql STABLE SET search_path = public, pg_temp AS 'SELECT label FROM teams WHERE teams.id = by_path.who';
CREATE FUNCTION shouted(people) RETURNS text LANGUAGE sql STABLE AS 'SELECT upper($1.name)';
CREATE FUNCTION by_row(teams) RETURNS text LANGUAGE sql STABLE AS 'SELECT max(ssn) FROM public.people WHERE team = $1.id';
CREATE FUNCTION changes() RETURNS void LANGUAGE sql AS 'DELETE FROM public.teams WHERE false';
CREATE FUNCTION locks() RETURNS SETOF int LANGUAGE sql AS 'SELECT id FROM public.teams FOR UPDATE';
CREATE SEQUENCE counter; CREATE FUNCTION counts_up() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('counter') $$;
CREATE FUNCTION two_tables() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM people';
CREATE FUNCTION in_sleep() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM (SELECT pg_sleep(0)) s';
CREATE FUNCTION with_setting() RETURNS int LANGUAGE sql SET role = 'app' AS 'SELECT 1';
CREATE FUNCTION other_default(x text DEFAULT says('x')) RETURNS text LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION calls_plpgsql(int) RETURNS int LANGUAGE sql AS 'SELECT public.twice($1)';
CREATE FUNCTION itself(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE OR REPLACE FUNCTION itself(int) RETURNS int LANGUAGE sql AS 'SELECT public.itself($1)';
CREATE FUNCTION makes() RETURNS int LANGUAGE sql AS 'CREATE TEMP TABLE x(a int); SELECT 1';
CREATE FUNCTION secrets() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS 'SELECT rolpassword FROM pg_authid';
CREATE FUNCTION who_else() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER BEGIN ATOMIC SELECT query FROM pg_stat_activity; END;
CREATE FUNCTION hidden_sql(q text) RETURNS SETOF text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN QUERY EXECUTE q; END $$;
`
/** The same people twice: what differs is in masked columns only, never whether it is NULL. */
const rowsOf = (twin: boolean) => `INSERT INTO people SELECT g, 'name ' || g, CASE WHEN g % 7 = 0 THEN NULL WHEN g % 3 = ${twin ? 1 : 0} THEN 'MARKER-1' ELSE 'MARKER-' || (g * ${twin ? 7919 : 104729} % 1000) END,
  CASE WHEN g % 5 = 0 THEN NULL ELSE ((g * ${twin ? 31 : 17}) % 97)::text END, CASE WHEN g % 11 = 0 THEN NULL ELSE (g * ${twin ? 37 : 53}) % 100 + 0.5 END, date '1970-01-01' + (g * ${twin ? 13 : 29} % 9000), 1 + g % 4, ARRAY['MARKER', ${twin ? "'b'" : "'a','c'"}], 'note ' || g FROM generate_series(1, 30) g; ANALYZE people;`
const HIDDEN = new Set(['ssn', 'card', 'pay', 'born', 'codes'])
const rule = (column: string) => ({ with: column === 'card' ? 'partial' as const : 'redact' as const, rule: 'mask-people', lookups: null })
const masked: MaskOf = (schema, table, column) => schema === 'public' && table === 'people' && HIDDEN.has(column) ? rule(column) : null

/** [definition, columns that must be hidden] or null: may not be read. */
const VIEWS: Readonly<Record<string, readonly [sql: string, hidden: string | null]>> = {
  plain: ['SELECT id, ssn AS number, name FROM people', 'number'],
  clear: ['SELECT id, name, notes FROM people WHERE team < 3', ''],
  digits: [`SELECT id, replace(ssn, '-', '') AS digits, upper((card)::text) AS big FROM people`, 'digits big'],
  fails: ['SELECT id, name, ssn::int AS number, 1 / (pay - 0.5) AS share FROM people', 'number share'],
  typed: [`SELECT id, pay * 2 AS twice, born + 1 AS next, pay > 50 AS rich, codes || 'x'::text AS more, to_jsonb(p) AS doc, ROW(id, ssn)::text AS pair, p AS whole FROM people p`, 'twice next rich more doc pair whole'],
  nullness: [`SELECT id, ssn IS NULL AS without, nullif(ssn, 'MARKER-1') IS NULL AS first, coalesce(ssn, name) AS either, coalesce(ssn, card) AS any FROM people`, 'first either any'],
  cased: [`SELECT id, CASE WHEN ssn LIKE 'MARKER-1%' THEN name END AS hit, CASE team WHEN 1 THEN ssn ELSE name END AS mixed FROM people`, 'hit mixed'],
  nested: ['SELECT id, number || name AS both FROM plain WHERE id < 20', 'both'],
  over_fails: ['SELECT id, number + 1 AS more, name FROM fails', 'more'],
  null_of_computed: ['SELECT id, hit IS NULL AS miss FROM cased', 'miss'],
  tested: ['SELECT id, (SELECT max(q.ssn) FROM people q WHERE q.id = p.id + 1) AS next, EXISTS (SELECT 1 FROM people q WHERE q.ssn = p.ssn AND q.id <> p.id) AS shared, p.ssn IN (SELECT h.ssn FROM hr.people h) AS listed FROM people p', 'next shared listed'],
  joined: ['SELECT p.id, t.label, q.ssn AS other, p.ssn FROM people p JOIN teams t ON t.id = p.team LEFT JOIN hr.people q ON q.id = p.id', 'ssn'],
  used: ['SELECT id, name, label, ssn FROM people JOIN (SELECT id AS team, label FROM teams) t USING (team)', 'ssn'],
  aliased: ['SELECT j.b, j.c, j.z FROM (people JOIN teams ON teams.id = people.team) AS j(a, b, c, d, e, f, g, h, i, y, z)', 'c'],
  grouped: ['SELECT team, count(*) AS people, count(ssn) AS with_ssn, count(DISTINCT ssn) AS ssns, max(pay) AS most, avg(pay) AS mean, string_agg(name, $$,$$ ORDER BY id) AS names FROM people GROUP BY team', 'ssns most mean'],
  inner_grouped: ['SELECT t.label, s.total, s.n FROM teams t JOIN (SELECT team, sum(pay) AS total, count(*) AS n FROM people GROUP BY team) s ON s.team = t.id', 'total'],
  beside: ['SELECT t.id, l.name, l.card FROM teams t, LATERAL (SELECT p.name, p.card FROM people p WHERE p.team = t.id ORDER BY p.id LIMIT 2) l', 'card'],
  unioned: [`SELECT id, ssn AS v FROM people UNION ALL SELECT id, label FROM teams`, 'v'],
  cte: ['WITH a AS (SELECT id, ssn AS s FROM people), b(i, t) AS (SELECT id, s FROM a) SELECT b.i, b.t, teams.label FROM b JOIN teams ON teams.id = b.i', 't'],
  recursive: ['WITH RECURSIVE r AS (SELECT id, name AS shown FROM people WHERE id = 1 UNION ALL SELECT r.id + 1, p.ssn FROM r JOIN people p ON p.id = r.id + 1 WHERE r.id < 9) SELECT id, shown FROM r', 'shown'],
  shadowed: [`WITH people AS (SELECT 1 AS id, 'mine'::text AS ssn) SELECT id, ssn FROM people`, ''],
  elsewhere: ['SELECT id, ssn FROM hr.people', ''],
  values_of: ['SELECT p.id, v.column1 AS a, v.column2 AS b FROM people p, LATERAL (VALUES (p.name, p.ssn)) v', 'b'],
  sampled: ['SELECT id, ssn FROM people TABLESAMPLE BERNOULLI (100)', 'ssn'],
  barrier: ['SELECT id, ssn FROM people WHERE team = 1', 'ssn'],
  by_shout: ['SELECT id, shout(ssn) AS a, loud(ssn) AS b, twice(id) AS c FROM people', 'a b'],
  by_card: ['SELECT id, card_of(id) AS c FROM teams', 'c'],
  over_copied: ['SELECT id, number || $$x$$ AS n FROM copied', 'n'],
  filtered_count: ['SELECT team, count(*) FILTER (WHERE pay > 50) AS rich FROM people GROUP BY team', 'rich'],
  rolled: ['SELECT team, count(*) AS n, grouping(team) AS g FROM people GROUP BY ROLLUP (team)', ''],
  built: [`SELECT id, xmlelement(name p, ssn) AS x, json_build_object('a', card) AS j, (SELECT array_agg(q.ssn) FROM people q WHERE q.team = p.team) AS r FROM people p`, 'x j r'],
  shifted: ['SELECT id, lag(ssn) OVER (ORDER BY id) AS before, first_value(name) OVER (PARTITION BY team ORDER BY id) AS first FROM people', 'before'],
  by_rollup: ['SELECT count(*) AS n FROM people GROUP BY ROLLUP (ssn)', null],
  by_partition: ['SELECT id, count(*) OVER (PARTITION BY ssn) AS n FROM people', null],
  filtered: [`SELECT id, name FROM people WHERE ssn LIKE 'MARKER-1%'`, null],
  by_join: ['SELECT p.id FROM people p JOIN people q ON p.ssn = q.ssn', null],
  by_using: ['SELECT name FROM people JOIN hr.people h USING (ssn)', null],
  by_group: ['SELECT ssn, count(*) FROM people GROUP BY ssn', null],
  by_having: ['SELECT team FROM people GROUP BY team HAVING max(pay) > 50', null],
  by_order: ['SELECT id FROM people ORDER BY ssn', null],
  by_number: ['SELECT id, ssn FROM people ORDER BY 2 LIMIT 3', null],
  by_limit: ['SELECT id FROM teams LIMIT (SELECT length(ssn) FROM people WHERE id = 1)', null],
  by_distinct: ['SELECT DISTINCT ssn FROM people', null],
  by_distinct_on: ['SELECT DISTINCT ON (ssn) id FROM people', null],
  by_union: ['SELECT ssn FROM people UNION SELECT label FROM teams', null],
  by_except: ['SELECT label FROM teams EXCEPT SELECT ssn FROM people', null],
  by_window: ['SELECT id, rank() OVER (ORDER BY pay) FROM people', null],
  by_named_window: ['SELECT id, rank() OVER w FROM people WINDOW w AS (ORDER BY pay)', null],
  by_set: ['SELECT id, unnest(codes) AS code FROM people', null],
  by_split: [`SELECT id, part FROM people, LATERAL regexp_split_to_table(ssn, '-') AS part`, null],
  by_series: ['SELECT p.id, g FROM people p, generate_series(1, pay::int) g', null],
  union_fails: ['SELECT id, ssn::int AS n FROM people UNION ALL SELECT 1, 2', null],
  cte_fails: ['WITH a AS MATERIALIZED (SELECT id, ssn::int AS n FROM people) SELECT id FROM a', null],
  cte_filter: ['WITH a AS (SELECT id FROM people WHERE pay > 50) SELECT t.id FROM teams t JOIN a ON a.id = t.id', null],
  over_filtered: ['SELECT id FROM filtered', null],
  by_says: ['SELECT id, says(ssn) FROM people', null],
  by_holders: [`SELECT h FROM holders('MARKER-1') h`, null],
  in_string: [`SELECT query_to_xml('SELECT ssn FROM people', true, false, '') AS x`, null],
  by_hidden_sql: [`SELECT hidden_sql('SELECT ssn FROM people') AS x`, null],
  samples: ['SELECT most_common_vals::text FROM pg_stats', null],
  others: ['SELECT query FROM pg_stat_activity', null],
}
const ORDER = Object.keys(VIEWS)

for (const version of SUITE_VERSIONS) {
  describe(`masked views on PostgreSQL ${version}`, () => {
    let server: TestServer
    let one: MaskedSession
    let twin: MaskedSession
    before(async () => {
      server = await startPostgres({ version })
      await server.sql('CREATE ROLE app LOGIN')
      for (const name of ['one', 'twin']) {
        await server.sql(`CREATE DATABASE ${name}`)
        await server.sql(TABLES + rowsOf(name === 'twin'), name)
        await server.sql('CREATE MATERIALIZED VIEW copied AS SELECT id, ssn AS number, ssn::text || card AS both FROM people', name)
        for (const view of ORDER) await server.sql(`CREATE VIEW ${view} ${view === 'barrier' ? 'WITH (security_barrier)' : ''} AS ${VIEWS[view]![0]}`, name)
        await server.sql(`CREATE FUNCTION over_view(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT number FROM public.plain WHERE id = $1'`, name)
        if (name === 'one') await server.sql(`CREATE EXTENSION postgres_fdw; CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '${server.port}', dbname 'one'); CREATE USER MAPPING FOR PUBLIC SERVER self OPTIONS (user 'gwsuper', password_required 'false');
          CREATE SCHEMA far; CREATE FOREIGN TABLE people_far(id int, number text OPTIONS (column_name 'ssn'), card text, name text) SERVER self OPTIONS (schema_name 'public', table_name 'people'); CREATE FOREIGN TABLE far.people(id int, ssn text) SERVER self OPTIONS (schema_name 'public');
          CREATE FOREIGN TABLE far.plain(id int, number text, name text) SERVER self OPTIONS (schema_name 'public'); CREATE FOREIGN TABLE far.others(id int, ssn text) SERVER self OPTIONS (schema_name 'hr', table_name 'people'); CREATE FOREIGN TABLE far.filtered(id int) SERVER self OPTIONS (schema_name 'public'); CREATE FOREIGN TABLE far.teams(id int, label text) SERVER self OPTIONS (schema_name 'public')`, name)
        await server.sql('GRANT USAGE ON SCHEMA hr TO app; GRANT SELECT ON ALL TABLES IN SCHEMA public, hr TO app', name)
      }
      one = await MaskedSession.open(server, 'one', 'app', masked)
      twin = await MaskedSession.open(server, 'twin', 'app', masked)
    })
    after(async () => { await one?.close(); await twin?.close(); await server?.stop() })

    /** What both databases answer; undefined when it is refused. */
    const same = async (text: string): Promise<readonly (readonly unknown[])[] | undefined> => {
      const [a, b] = [await one.run(text), await twin.run(text)]
      assert.equal(a.result.kind, b.result.kind, text)
      if (a.result.kind === 'refused') return undefined
      const shown = (run: typeof a) => [run.rows, run.error, run.notices, run.fields.map((f) => [f.name, Math.min(f.dataTypeID, 16384), f.dataTypeModifier])]
      assert.deepEqual(shown(a), shown(b), text)
      assert.doesNotMatch(JSON.stringify(shown(a)), /MARKER/, text)
      return a.rows
    }
    const relation = (name: string) => one.catalog.byName.get(`public.${name}`)!

    test('hides exactly the columns that lineage leads to, and refuses what tells by its rows', () => {
      const index = maskIndex(one.catalog, masked)
      for (const [name, [, hidden]] of Object.entries(VIEWS)) {
        const { oid } = relation(name)
        if (hidden === null) { assert.ok(index.blocked.has(oid), `${name} may be read`); continue }
        assert.equal(index.blocked.get(oid), undefined, name)
        assert.equal([...index.masked.get(oid)?.hidden.keys() ?? []].join(' '), hidden, name)
      }
      assert.deepEqual([...index.masked.get(relation('copied').oid)!.hidden.keys()], ['number', 'both'])
    })
    test('finds every column that the server itself finds', async () => {
      const found = await server.client('one')
      const { rows } = await found.query<{ view: number; relation: number; number: number }>(`SELECT DISTINCT r.ev_class::int AS view, d.refobjid::int AS relation, d.refobjsubid AS number FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        WHERE d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND r.ev_class >= 16384`)
      await found.end()
      assert.ok(rows.length > 100)
      const unfollowed = new Set<string>()
      for (const row of rows) {
        const view = one.catalog.relations.get(row.view)!
        const lineage = viewLineage(one.catalog, view)
        if (lineage instanceof Unfollowed) unfollowed.add(view.name)
        else assert.ok(lineage.touched.has(`${row.relation}.${row.number}`), `${view.name}: ${row.relation}.${row.number}`)
      }
      assert.deepEqual([...unfollowed], [])
    })
    test('answers the same whatever the hidden values are', async () => {
      for (const name of ORDER) {
        const columns = relation(name).columns.map((column) => `"${column.name}"`)
        const rows = await same(`SELECT * FROM ${name}`)
        if (VIEWS[name]![1] === null) { assert.equal(rows, undefined, name); continue }
        assert.ok(rows !== undefined && rows.length > 0, name)
        for (const column of columns) {
          await same(`SELECT ${column}::text, count(*) FROM ${name} v WHERE v.${column} IS NOT NULL GROUP BY 1 ORDER BY 1`)
          await same(`SELECT count(*) FROM public.${name} WHERE ${column}::text ~ '1'`)
          await same(`SELECT ${column} FROM (TABLE ${name}) t ORDER BY ${column}::text LIMIT 3`)
        }
        await same(`SELECT v FROM ${name} v`)
        await same(`SELECT count(*) FROM ${name}`)
        await same(`EXPLAIN (COSTS OFF) SELECT * FROM ${name}`)
      }
    })
    test('shows the rows as they are where nothing is hidden, and NULL where the value is', async () => {
      const bare = await one.client.query({ text: 'SELECT team, people, with_ssn, names FROM grouped ORDER BY 1', rowMode: 'array' })
      assert.deepEqual(await same('SELECT team, people, with_ssn, names FROM grouped ORDER BY 1'), bare.rows)
      assert.deepEqual(await same('SELECT digits, big FROM digits WHERE id IN (5, 7, 8) ORDER BY id'), [['[hidden]', null], [null, '[hidden]'], ['[hidden]', '[hidden]']])
      assert.deepEqual(await same('SELECT number FROM plain WHERE id = 7'), [[null]])
      assert.deepEqual(await same('SELECT number, share, name FROM fails WHERE id = 3'), [[null, null, 'name 3']])
      assert.deepEqual(await same('SELECT hit, mixed FROM cased WHERE id IN (1, 3) ORDER BY id'), [['[hidden]', '[hidden]'], ['[hidden]', '[hidden]']])
    })
    test('lets a listed view be read, its masked columns hidden all the same', async () => {
      const listed = Object.assign(masked.bind(null), { listed: { views: ['public.filtered', 'public.by_group', 'public.union_fails'], functions: [] } }) as MaskOf
      const session = await MaskedSession.open(server, 'one', 'app', listed)
      const filtered = await session.run('SELECT * FROM filtered')
      assert.ok(filtered.rows.length > 0 && filtered.result.kind !== 'refused' && filtered.result.onValues)
      assert.ok((await session.run('SELECT * FROM over_filtered')).rows.length > 0)
      const grouped = await session.run('SELECT DISTINCT ssn FROM by_group')
      assert.deepEqual(grouped.rows.map(([cell]) => cell).toSorted(), ['[hidden]', null])
      const failing = await session.mask('SELECT id FROM union_fails')
      assert.ok(failing.kind !== 'refused' && failing.onValues && failing.touched.includes('public.union_fails'))
      assert.equal((await session.mask('SELECT * FROM by_order')).kind, 'refused')
      await session.close()
    })
    test('lets functions in SQL run whose bodies only read what is not masked, and no others', async () => {
      const effects = (text: string, functions: readonly string[] = []) => {
        const tree = parseShort(text)
        assert.ok(tree?.kind === 'tree', text)
        return effectsOf(tree, one.catalog, one.context, { functions }).flatMap((reading) => reading.effects)
      }
      for (const text of ['SELECT shout(name), loud(name) FROM people', 'SELECT * FROM label_of(1)', 'SELECT people.shouted FROM people', 'SELECT shout($1)', 'SELECT nested(1)', 'SELECT with_default()', 'SELECT by_path(1)']) {
        assert.ok(effects(text).every(({ access }) => access === 'read'), `${text} ${JSON.stringify(effects(text))}`)
        if (!text.includes('$')) assert.notEqual(await same(text), undefined, text)
      }
      assert.deepEqual(effects('SELECT nested(1)').flatMap(({ objects, columns }) => [objects, columns]), [[], [], ['public.teams'], ['public.teams.id', 'public.teams.label']])
      assert.deepEqual(effects('SELECT card_of(1) FROM pg_class').at(-1), { operation: 'sql.select', access: 'read', objects: ['public.people'], columns: ['public.people.card', 'public.people.id'], bounded: false })
      for (const text of ['SELECT says(name) FROM people', 'SELECT twice(1)', `SELECT hidden_sql('x')`, 'SELECT changes()', 'SELECT locks()', 'SELECT counts_up()', 'SELECT two_tables()', 'SELECT in_sleep()', 'SELECT with_setting()', 'SELECT other_default()', 'SELECT calls_plpgsql(1)', 'SELECT itself(1)', 'SELECT makes()', 'SELECT secrets()', 'SELECT who_else()', 'SELECT p.says FROM people p']) {
        assert.ok(effects(text).some(({ access, reason }) => access === 'admin' && /not known to be harmless/.test(reason ?? '')), text)
      }
      for (const [text, why] of [['SELECT card_of(1)', /card_of\(\) reads public\.people\.card, which is masked/], ['SELECT * FROM holders($1)', /holders\(\) reads public\.people\.ssn/], ['SELECT t.by_row FROM teams t', /by_row/], ['SELECT count(*) FROM teams WHERE over_view(id) IS NULL', /over_view/], ['PREPARE p AS SELECT card_of(1)', /card_of/]] as const) {
        const result = await one.mask(text)
        assert.ok(result.kind === 'refused', text)
        assert.match(result.message, why)
        assert.match(result.hint, /read the table itself/)
      }
      const listed = Object.assign(masked.bind(null), { listed: { views: [], functions: ['public.card_of(int)'] } }) as MaskOf
      const session = await MaskedSession.open(server, 'one', 'app', listed)
      assert.equal((await session.mask('SELECT card_of(1)')).kind, 'unchanged')
      await session.close()
    })
    test('names the columns that a view leads to, so that a rule about a column holds through it', () => {
      const columns = (text: string) => {
        const tree = parseShort(text)
        assert.ok(tree?.kind === 'tree', text)
        return effectsOf(tree, one.catalog, one.context).flatMap((reading) => reading.effects.flatMap((effect) => effect.columns)).filter((column) => column.startsWith('public.people.')).toSorted()
      }
      assert.deepEqual(columns('SELECT number FROM plain'), ['public.people.ssn'])
      assert.deepEqual(columns('SELECT id FROM plain'), ['public.people.id'])
      assert.deepEqual(columns('SELECT "both" FROM nested'), ['public.people.id', 'public.people.name', 'public.people.ssn'])
      assert.deepEqual(columns('SELECT without FROM nullness'), ['public.people.ssn'])
      assert.deepEqual(columns('SELECT id FROM filtered'), ['public.people.id', 'public.people.ssn'])
      assert.deepEqual(columns('SELECT n FROM over_copied'), ['public.people.ssn'])
      assert.deepEqual(columns('SELECT c FROM by_card'), ['public.people.card', 'public.people.id'])
      for (const text of ['SELECT * FROM plain', 'SELECT v FROM plain v', 'TABLE plain', 'SELECT row_to_json(v) FROM plain v']) assert.deepEqual(columns(text), ['public.people.id', 'public.people.name', 'public.people.ssn'], text)
    })
    test('hides in foreign tables what it hides in the tables that they show', async () => {
      const wide = await MaskedSession.open(server, 'one', 'gwsuper', masked)
      const hidden = (name: string) => [...maskIndex(wide.catalog, masked).masked.get(wide.catalog.byName.get(name)!.oid)?.hidden.keys() ?? []].join(' ')
      assert.deepEqual(['public.people_far', 'far.people', 'far.plain', 'far.others', 'far.teams'].map(hidden), ['number card', 'ssn', 'number', '', ''])
      assert.match(maskIndex(wide.catalog, masked).blocked.get(wide.catalog.byName.get('far.filtered')!.oid) ?? '', /public\.filtered/)
      for (const text of ['SELECT id, number, card FROM people_far ORDER BY id LIMIT 3', 'SELECT count(*) FROM people_far WHERE number > $$A$$', 'SELECT f.number, p.name FROM people_far f JOIN people p USING (id) WHERE id < 3 ORDER BY 2', 'SELECT * FROM far.plain WHERE id = 3']) {
        const run = await wide.run(text)
        assert.equal(run.error, null, text)
        assert.ok(run.rows.length > 0)
        assert.doesNotMatch(JSON.stringify(run.rows), /MARKER/, text)
      }
      assert.deepEqual((await wide.run('SELECT label FROM far.teams WHERE id = 2')).rows, [['team 2']])
      await wide.close()
    })
    test('tells columns that decide about rows from those that are shown', () => {
      const compared = (text: string) => {
        const tree = parseShort(text)
        assert.ok(tree?.kind === 'tree', text)
        return effectsOf(tree, one.catalog, one.context).flatMap((reading) => reading.effects.flatMap((effect) => effect.compared ?? [])).toSorted()
      }
      assert.deepEqual(compared('SELECT name, ssn FROM people'), [])
      assert.deepEqual(compared('SELECT name FROM people p WHERE p.ssn = $1 ORDER BY pay'), ['public.people.pay', 'public.people.ssn'])
      assert.deepEqual(compared('SELECT team, count(*) FROM people JOIN teams ON teams.id = team GROUP BY team HAVING max(born) > now()'), ['public.people.born', 'public.people.team', 'public.teams.id'])
      assert.deepEqual(compared(`UPDATE people SET name = 'x' WHERE card = '1'`), ['public.people.card'])
      assert.deepEqual(compared('SELECT id FROM (SELECT id FROM people WHERE pay > 1) x'), ['public.people.pay'])
    })
    test('says what is in the way and what would do', async () => {
      const refused = await one.mask('SELECT id FROM filtered')
      assert.ok(refused.kind === 'refused')
      assert.match(refused.message, /public\.filtered can't be read: public\.filtered filters, joins, groups or sorts by public\.people\.ssn, which is masked/)
      assert.match(refused.hint, /views/)
    })
  })
}
