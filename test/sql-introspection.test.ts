// What psql's \d family and pg_dump ask of a real server, taken from its log, stays within session, read and write.
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { effectsOf } from '../src/sql/effects.ts'
import type { StatementReading } from '../src/sql/effects.ts'
import { parse, ready } from '../src/sql/grammar.ts'
import { catalogFrom, catalogQueries } from '../src/sql/load.ts'
import type { Row } from '../src/sql/load.ts'
import { startPostgres } from './servers/postgres.ts'
import type { TestServer } from './servers/postgres.ts'

const VERSION = 15
const COMMANDS = ['\\l+', '\\d+', '\\dt+', '\\di+', '\\dv+', '\\dm+', '\\ds+', '\\df+', '\\da', '\\dn+', '\\du+', '\\dx+', '\\dT+', '\\dD+', '\\do+ ||', '\\dC+', '\\dc', '\\dd', '\\ddp', '\\dE', '\\des+', '\\dew+', '\\deu', '\\dF+', '\\dL+', '\\dO+', '\\dp', '\\dP+', '\\drds',
  '\\dRp+', '\\dRs', '\\dX', '\\dy', '\\dA+', '\\dAc', '\\dAf', '\\dAo', '\\dAp', '\\db', '\\dconfig', '\\d+ orders', '\\d part', '\\d part1', '\\d+ t2', '\\d+ v', '\\d invoice_seq', '\\d orders_pkey', '\\sf f', '\\sv v', '\\dS pg_class', '\\d pg_stats', '\\lo_list', '\\dt *.*']
// Credentials of other servers: pg_dump asks for them only as a superuser.
const REFUSED = /subconninfo/
const has = (program: string): boolean => { try { execFileSync(program, ['--version'], { stdio: 'ignore' }); return true } catch { return false } }
const missing = has('psql') && has('pg_dump') ? false : 'psql and pg_dump are not installed'
let server: TestServer

before(async () => { await ready(); if (missing === false) server = await startPostgres({ version: VERSION, settings: { log_statement: 'all', log_line_prefix: `'~~ '` } }) })
after(async () => { if (missing === false) await server.stop() })

test('psql and pg_dump are not refused for what they ask of the catalog', { skip: missing }, async () => {
  await server.sql('CREATE ROLE app LOGIN')
  await server.sql('CREATE DATABASE d OWNER app')
  const owner = await server.client('d', 'app')
  await owner.query('CREATE SCHEMA hr; CREATE TABLE orders (id int PRIMARY KEY, note text); CREATE SEQUENCE invoice_seq; CREATE VIEW v AS SELECT id FROM orders; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$')
  await owner.query(`CREATE TABLE part (a int PRIMARY KEY, b text) PARTITION BY RANGE (a); CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10); CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN dd AS text CHECK (value <> 'x');
    CREATE TABLE t2 (a mood, b dd, c int GENERATED ALWAYS AS IDENTITY, d int DEFAULT nextval('invoice_seq')); CREATE TRIGGER tr BEFORE UPDATE ON t2 FOR EACH ROW EXECUTE FUNCTION f(); CREATE RULE rr AS ON DELETE TO t2 DO NOTHING; CREATE POLICY pp ON t2;
    CREATE STATISTICS st ON a, b FROM t2; CREATE COLLATION cc FROM "C"; CREATE AGGREGATE agg (int) (sfunc = int4pl, stype = int); CREATE MATERIALIZED VIEW mv AS SELECT 1 AS a`)
  const rows: Record<string, Row[]> = {}
  for (const { name, sql } of catalogQueries(VERSION * 10000)) rows[name] = (await owner.query({ text: sql, rowMode: 'array' })).rows as Row[]
  const catalog = catalogFrom(rows, VERSION * 10000, 1)
  await owner.end()

  const from = readFileSync(server.log, 'utf8').length
  const run = promisify(execFile)
  const where = ['-h', '127.0.0.1', '-p', String(server.port), '-U', 'app', '-d', 'd']
  await run('psql', [...where, '-X', ...COMMANDS.flatMap((command) => ['-c', command])])
  await run('pg_dump', [...where, '-f', '/dev/null'])
  await run('pg_dump', [...where.map((word) => word === 'app' ? 'gwsuper' : word), '-f', '/dev/null'])

  const texts = readFileSync(server.log, 'utf8').slice(from).split(/^'?~~ '?/m).flatMap((entry) => { const found = /^LOG: {2}(?:statement|execute [^:]*): ([\s\S]*?)\n$/.exec(entry); return found === null ? [] : [found[1]!.replaceAll('\n\t', '\n')] })
  assert.ok(texts.length > 200, `${texts.length} statements in the log`)
  const prepared = new Map<string, StatementReading | null>()
  for (const text of texts) {
    const tree = await parse(text)
    assert.equal(tree.kind, 'tree', text)
    if (tree.kind !== 'tree' || REFUSED.test(text)) continue
    for (const reading of effectsOf(tree, catalog, { searchPath: ['pg_catalog', 'public'], temporary: new Map() }, { prepared: (name) => prepared.get(name) ?? null })) {
      if (reading.prepared?.action === 'prepare') prepared.set(reading.prepared.name ?? '', reading.prepared.reading)
      for (const effect of reading.effects) assert.ok(['session', 'read', 'write'].includes(effect.access), `${effect.reason ?? effect.operation}: ${text}`)
    }
  }
})
