// What masks write is read back by real servers: text, CSV and binary COPY of every type that holds text come back with the found values
// hidden and nothing else changed.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { compileDetectors } from '../src/detect/index.ts'
import { type CopyOptions, COPY_DEFAULTS, copyMask } from '../src/protocols/postgres/copy.ts'
import { cellMask } from '../src/protocols/postgres/values.ts'
import { Scratch } from '../src/wire/bytes.ts'
import { startPostgres, SUITE_VERSIONS } from './servers/postgres.ts'

const DETECTOR = compileDetectors(['us-ssn', 'credit-card', 'email'].map((detector) => ({ detector, pattern: null, with: 'redact', rule: detector })))!

const SEED = String.raw`
CREATE EXTENSION citext; CREATE EXTENSION hstore;
CREATE TYPE pair AS (a text, b int);
CREATE TABLE source (id int, t text, v varchar(40), f char(30), c citext, a text[], m text[], j json, b jsonb, jj jsonb[], p pair, h hstore, x xml, ts timestamptz, y bytea);
CREATE TABLE expected (LIKE source); CREATE TABLE result (LIKE source);
CREATE FUNCTION fill(s text) RETURNS SETOF source LANGUAGE sql AS $$
  SELECT 1, s, s, s, s::citext, ARRAY[s, NULL, 'a"b\c', s || ', ' || s, ''], ARRAY[['x', s], [E'\t', 'NULL']], json_build_object('k', s, 'n', 4539148803436467, 'q', 'a"' || s || E'\n\\'),
    jsonb_build_object('k', jsonb_build_array(s, 1, null), 'q', 'a"' || s || E'\n\\'), ARRAY[to_jsonb(s), 'null'::jsonb], ROW(s || ', "q" \', 7)::pair, hstore('k', s || ' "q"') || hstore('n', NULL), xmlelement(name e, s), '2024-01-02 03:04:05+00'::timestamptz, '\x3132332d34352d36373839'::bytea
  UNION ALL SELECT 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  UNION ALL SELECT 3, '', '', '', '', '{}', '{}', '{}', '{}', '{}', ROW('', NULL)::pair, '', '', 'infinity', ''
  UNION ALL SELECT 4, E'a\tb\\c\nd\r"e'',' || s || E'\x01é\\.', '\.', '\N', 'NULL', ARRAY['NULL', ' ', '{}', s], '{}', ('"\u00e9\u0020' || s || '"')::json, to_jsonb(E'é\u00e9' || ' ' || s), '{}', ROW(NULL, NULL)::pair, hstore('a=>"', s), '', '-infinity', '\x00' $$;
INSERT INTO source SELECT * FROM fill('123-45-6789');
INSERT INTO expected SELECT * FROM fill('[hidden]');
`
const FORMATS: readonly (readonly [string, Partial<CopyOptions>])[] = [
  ['FORMAT text', {}], ['FORMAT text, DELIMITER \'|\', NULL \'nil\'', { delimiter: '|', nullText: 'nil' }], ['FORMAT text, DELIMITER \'[\'', { delimiter: '[' }], ['FORMAT text, NULL \'[hidden]\'', { nullText: '[hidden]' }], ['FORMAT csv, NULL \'[hidden]\'', { format: 'csv', nullText: '[hidden]' }],
  ['FORMAT csv', { format: 'csv' }], ['FORMAT csv, HEADER, FORCE_QUOTE *', { format: 'csv', header: true }], ['FORMAT csv, DELIMITER \'h\', NULL \'nil\', QUOTE \'\'\'\', ESCAPE \'\\\'', { format: 'csv', delimiter: 'h', nullText: 'nil', quote: '\'', escape: '\\' }], ['FORMAT binary', { format: 'binary' }],
]

for (const version of SUITE_VERSIONS) test(`PostgreSQL ${version} reads back what the masks of COPY wrote`, async () => {
  const server = await startPostgres({ version })
  try {
    await server.sql(SEED)
    const columns = (await server.sql(`SELECT atttypid::int AS type, atttypmod AS typmod, typname AS name FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid WHERE attrelid = 'source'::regclass AND attnum > 0 ORDER BY attnum`)).rows as { type: number; typmod: number; name: string }[]
    for (const [words, options] of FORMATS) for (const named of [true, false]) {
      const file = join(server.data, 'copied')
      const read = words.replace(', FORCE_QUOTE *', '')
      await server.sql(`COPY source TO '${file}' (${words})`)
      const format = options.format === 'binary' ? 1 : 0
      const masks = columns.map(({ type, typmod, name }) => cellMask({ type, typmod, format, name: named || name === 'citext' ? name : null }, null, DETECTOR, () => ''))
      const mask = copyMask({ ...COPY_DEFAULTS, ...options }, masks)!
      const bytes = readFileSync(file), out = new Scratch(1024)
      mask.push(bytes, 0, bytes.length, out)
      mask.end(out)
      writeFileSync(file, out.taken())
      await server.sql(`TRUNCATE result; COPY result FROM '${file}' (${read})`)
      const rows = async (table: string) => (await server.sql(`SELECT row_to_json(r)::jsonb - 'j' - 'ts' - 'y' AS row, j::jsonb AS j, r.ts::text, r.y::text FROM ${table} r ORDER BY id`)).rows
      assert.deepEqual(await rows('result'), await rows('expected'), `${words}, ${named ? 'with' : 'without'} type names`)
    }
  } finally { await server.stop() }
})
