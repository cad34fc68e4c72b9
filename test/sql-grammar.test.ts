// The grammar's refusals against real servers: same SQLSTATE, same place in characters, same words.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type pg from 'pg'
import { parse, ready } from '../src/sql/grammar.ts'
import { SUITE_VERSIONS, startPostgres } from './servers/postgres.ts'
import type { TestServer } from './servers/postgres.ts'

const BROKEN = ['SELEKT', 'SELECT FROM WHERE', `SELECT 'é🦀' x y z`, `SELECT 'ünï', ( FROM`, 'SELECT (', 'SELECT 1 +', `SELECT 'open`, `SELECT 'é' , 'open`, 'SELECT "open', 'SELECT $$open', 'SELECT $é$open$e$', 'SELECT 1 /* open', 'SELECT ""',
  'SELECT é é é', 'CREATE TABLE é (a int, constraint)', `SELECT E'\\u00'`, `SELECT E'é\\u00zz'`, `SELECT U&'\\00'`, `SELECT U&'é\\zzzz'`, `SELECT 1; 'é' SELECT`, 'INSERT INTO t VALUES (1', 'DROP TABLE', 'UPDATE t SET WHERE a = 1', 'SELECT * FROM t LIMIT 1 LIMIT 2',
  'SELECT * FROM t FOR é', 'SELECT 1 ORDER', 'BEGIN; SELEKT', '\tSELEKT', '\n\né SELEKT', 'SELECT a.*.b', 'SELECT * FROM (SELECT 1', 'SELECT x y z', 'WITH a AS (SELECT 1)', 'COPY t FROM', 'GRANT', ')', `SELECT E'\\'`, 'SELECT 1 1']
const SERVERS: { version: number; server: TestServer; client: pg.Client }[] = []

before(async () => {
  await ready()
  for (const version of SUITE_VERSIONS) { const server = await startPostgres({ version }); SERVERS.push({ version, server, client: await server.client() }) }
})
after(async () => { for (const { server, client } of SERVERS) { await client.end(); await server.stop() } })

test('a syntax error has the server\'s own SQLSTATE, place and words', async () => {
  for (const { version, client } of SERVERS) {
    for (const text of BROKEN) {
      const answered = await client.query(text).then(() => null, (error: { code: string; position?: string; message: string }) => error)
      assert.ok(answered !== null, `${version} accepts ${text}`)
      const mine = await parse(text)
      assert.equal(mine.kind, 'syntax', `${version}: ${text}`)
      if (mine.kind !== 'syntax') continue
      assert.deepEqual({ text, code: mine.code, position: mine.position, message: mine.message }, { text, code: answered.code, position: Number(answered.position ?? 0), message: answered.message }, `${version}`)
    }
  }
})

test('what the grammar cuts into statements, the server runs as as many', async () => {
  for (const { client } of SERVERS) {
    for (const text of ['SELECT 1; SELECT 2', ';;SELECT 1;;', `SELECT ';' ; SELECT $$;$$`, '/* ; */ SELECT 1 -- ;\n; SELECT 2', `SELECT 1 AS "a;b'"; SELECT 'x'`]) {
      const mine = await parse(text)
      const results = await client.query(text) as unknown as object | object[]
      assert.equal(mine.kind === 'tree' ? mine.statements.length : -1, Array.isArray(results) ? results.length : 1, text)
    }
  }
})
