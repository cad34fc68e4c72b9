// The templates of messages that hold names only, against what real servers say; and that what servers say about values is not among them.
import assert from 'node:assert/strict'
import test from 'node:test'
import { saysOnlyNames } from '../src/protocols/postgres/templates.ts'
import { startPostgres, SUITE_VERSIONS } from './servers/postgres.ts'

const SEED = `CREATE TABLE k (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, n text NOT NULL, v varchar(3), f char(2), c int CHECK (c > 0), k int REFERENCES k); INSERT INTO t VALUES (1, 'x', 'y', 'z', 1, NULL);
CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);`
const NAMES = ['INSERT INTO t VALUES (2, NULL)', 'INSERT INTO t VALUES (1, \'s3cret\')', 'INSERT INTO t VALUES (2, \'x\', \'s3cret\')', 'INSERT INTO t VALUES (2, \'x\', \'y\', \'s3cret\')', 'UPDATE t SET c = -42', 'UPDATE t SET k = 42', 'SELECT 1 / (id - 1) FROM t',
  'INSERT INTO p VALUES (42)', 'INSERT INTO p1 VALUES (42)', 'SELECT * FROM nothing', 'SELECT nothing FROM t', 'SELEC', 'BEGIN READ ONLY; UPDATE t SET c = 2', 'SET statement_timeout = 1; SELECT pg_sleep(1)', 'SELECT nothing(id) FROM t', 'SELECT n + 1 FROM t']
const VALUES = ['SELECT (n || \'s3cret\')::int FROM t', 'SELECT (n || \'s3cret\')::date FROM t', 'DO $$ BEGIN RAISE EXCEPTION \'s3cret\' USING ERRCODE = \'23505\'; END $$', 'DO $$ BEGIN RAISE EXCEPTION \'%\', \'null value in column "s3cret" of relation "t" violates not-null constraint\' USING ERRCODE = \'23502\'; END $$',
  'DO $$ BEGIN EXECUTE \'SELECT s3cret FROM t\'; END $$', 'SELECT (\'{\' || n || \'s3cret\')::jsonb FROM t']

for (const version of SUITE_VERSIONS) test(`PostgreSQL ${version} words its errors as the templates have it`, async () => {
  const server = await startPostgres({ version })
  try {
    await server.sql(SEED)
    const said = async (text: string) => server.sql(text).then(() => assert.fail(text), (error: { code: string; routine: string; message: string; where?: string; internalQuery?: string }) => error)
    for (const text of [...NAMES, ...VALUES]) {
      const { code, routine, message, where, internalQuery } = await said(text)
      assert.equal(saysOnlyNames({ code, routine, message, nested: where !== undefined || internalQuery !== undefined }), NAMES.includes(text), `${text}: ${routine} ${code} ${message}`)
    }
  } finally { await server.stop() }
})
