// psql as people and scripts use it: what it shows through the gateway is compared with what it shows without, and what is hidden or
// refused looks like any other answer or error.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { environment, type Group, type Ran, run, SSN, type Shop, type Stage, startStage } from './stage.ts'

let stage: Stage
let folder: string
before(async () => { stage = await startStage(); folder = mkdtempSync(join(tmpdir(), 'sluice-psql-')) })
after(async () => { rmSync(folder, { recursive: true, force: true }); await stage?.stop() })

const psql = (shop: Shop, input: string, options: { group?: Group; flags?: readonly string[]; env?: Record<string, string> } = {}): Promise<Ran> =>
  run('psql', ['-X', '-A', '-t', ...options.flags ?? []], { input, env: { ...environment(stage, shop, options.group ?? 'agents'), ...options.env } })
const direct = (shop: Shop) => ({ PGHOST: '127.0.0.1', PGPORT: String(shop.server.port), PGUSER: 'app', PGDATABASE: 'postgres', PGSSLMODE: 'disable' })
async function everyShop(body: (shop: Shop) => Promise<void>): Promise<void> { for (const shop of stage.shops) await body(shop) }
const REFUSED = /ERROR: {2}42501: refused by Sluice: rule "agents\/no-ddl"/

/** The server knows the session under a name with its identity, and speaks UTF8 to it. */
const OWN_SETTINGS = /^(application_name|client_encoding)\|/

/** Every describing command, with and without a name, but \\dRs: subscriptions hold credentials. Those psql 15 can't do on a newer server fail the same way on both sides. */
const DESCRIBING = `\\d \\d+ \\dS \\d\\ customers \\d+\\ customers \\d\\ orders \\d+\\ orders \\d+\\ paid_orders \\d\\ orders_customer \\d\\ jottings_id_seq \\d\\ nothing
  \\l \\l+ \\dt \\dt+ \\di+ \\dv+ \\ds+ \\dm \\dE \\dn+ \\df \\df+ \\df\\ label \\sf\\ label \\sv\\ paid_orders \\sf+\\ label \\du+ \\dg \\dp \\z\\ customers \\ddp \\dT+ \\dT\\ mood \\dD \\dx \\dx+
  \\da\\ sum \\db \\dc\\ utf8* \\dC\\ text \\dd \\dew \\deu \\des \\det \\dF+ \\dFd \\dFp \\dFt \\dl \\dL+ \\dA+ \\dAc \\dAf \\dAo\\ btree \\dAp\\ btree \\dO\\ C \\do\\ + \\dP+ \\dRp+ \\dX \\dy \\drds \\dconfig
  \\dconfig+\\ work_mem \\lo_list \\encoding`.split(/\s+(?=\\d|\\l|\\s|\\z|\\e)/).map((command) => command.trim().replaceAll('\\ ', ' '))

test('the \\d family shows through the gateway what it shows without', async () => {
  await everyShop(async (shop) => {
    const input = DESCRIBING.map((command) => `\\echo == ${command.slice(1)}\n${command}\n`).join('')
    const without = await psql(shop, input, { env: direct(shop) }), through = await psql(shop, input)
    const sections = (out: string) => new Map(out.split('== ').map((section) => [section.slice(0, section.indexOf('\n')), section.split('\n').filter((line) => !OWN_SETTINGS.test(line)).slice(1).join('\n')]))
    const expected = sections(without.out)
    for (const [command, shown] of sections(through.out)) assert.equal(shown, expected.get(command), `\\${command} on ${shop.name}`)
    assert.equal(through.err, without.err)
    assert.match(through.out, /jottings_id_seq/)
  })
})

test('a session shows masked rows, keeps NULLs, and goes on after a refusal', async () => {
  await everyShop(async (shop) => {
    const { out, err, status } = await psql(shop, `\\set VERBOSITY verbose\n\\pset null NULL\nSELECT id, ssn, card_number, notes, tags, numbers FROM customers ORDER BY id;\nDROP TABLE orders;\nSELECT 'still here';\n`)
    assert.equal(status, 0)
    assert.equal(out.split('\n').slice(1).join('\n'), '1|[hidden]|[hidden]|call after six|{vip,"two words",NULL}|{1,2,NULL}\n2|[hidden]|[hidden]|his number is [hidden]|{}|NULL\n3|NULL|NULL|NULL|NULL|NULL\nstill here\n')
    assert.match(err, REFUSED)
    assert.match(err, /DETAIL: {2}.*schema changes go through migrations/)
    assert.match(err, /HINT: /)
  })
})

test('TLS is verified against the gateway\'s CA, asked for in vain elsewhere, and not needed on loopback', async () => {
  const shop = stage.shops[0]!
  const secured = 'SELECT 1;\n\\conninfo\n'
  assert.match((await psql(shop, secured)).out, /TLSv1\.3/)
  assert.match((await psql(shop, secured, { env: { PGHOST: 'localhost' } })).out, /TLSv1\.3/)
  assert.doesNotMatch((await psql(shop, secured, { env: { PGSSLMODE: 'disable' } })).out, /SSL/)
  const stranger = join(folder, 'other-ca.pem')
  writeFileSync(stranger, readFileSync(stage.ca, 'utf8').replace(/(?<=-----\n)(.{20})/, (text) => [...text].reverse().join('')))
  assert.equal((await psql(shop, secured, { env: { PGSSLROOTCERT: stranger } })).status, 2)
})

test('a wrong password and an unknown resource are told in one line', async () => {
  const shop = stage.shops[0]!
  const wrong = await psql(shop, 'SELECT 1', { env: { PGPASSWORD: 'not a token' } })
  assert.equal(wrong.status, 2)
  assert.match(wrong.err, /FATAL: {2}\S/)
  assert.equal(wrong.out, '')
  const unknown = await psql(shop, 'SELECT 1', { env: { PGDATABASE: 'nowhere' } })
  assert.equal(unknown.status, 2)
  assert.match(unknown.err, /FATAL: .*no resource "nowhere"/)
})

test('\\copy goes both ways, in text, csv and binary', async () => {
  await everyShop(async (shop) => {
    const file = (name: string) => join(folder, `${shop.name}-${name}`)
    const { out, err } = await psql(shop, `
\\copy (SELECT id, ssn FROM customers ORDER BY id) TO '${file('c.csv')}' CSV HEADER
\\copy customers(id, ssn) TO '${file('c.txt')}'
\\copy customers(id, ssn) TO '${file('c.bin')}' BINARY
\\copy jottings(body) FROM STDIN
one
two
\\.
\\copy jottings(body) TO '${file('j.bin')}' BINARY
DELETE FROM jottings WHERE body IN ('one', 'two');
\\copy jottings(body) FROM '${file('j.bin')}' BINARY
\\copy jottings(body) FROM '${file('missing')}'
\\copy jottings(body) FROM STDIN
one
\\.
SELECT body FROM jottings ORDER BY id;
DELETE FROM jottings WHERE body IN ('one', 'two');
\\copy (DELETE FROM jottings WHERE id = 0 RETURNING *) TO STDOUT
\\copy orders TO PROGRAM 'wc -l'
COPY (SELECT ssn FROM customers WHERE id = 1) TO STDOUT;
`)
    assert.equal(readFileSync(file('c.csv'), 'utf8'), 'id,ssn\n1,[hidden]\n2,[hidden]\n3,\n')
    assert.equal(readFileSync(file('c.txt'), 'utf8'), '1\t[hidden]\n2\t[hidden]\n3\t\\N\n')
    assert.ok(readFileSync(file('c.bin')).includes('[hidden]') && !readFileSync(file('c.bin')).includes(SSN))
    assert.match(out, /one\ntwo\n/)
    assert.match(out, /^20000$/m)
    assert.match(out, /^\[hidden\]$/m)
    assert.match(err, /duplicate key value violates unique constraint "jottings_body_key"/)
    assert.match(err, /No such file/)
  })
})

test('ON_ERROR_STOP, --single-transaction and exit codes work as without', async () => {
  await everyShop(async (shop) => {
    const stopped = await psql(shop, 'INSERT INTO jottings(body) VALUES (\'kept\');\nDROP TABLE orders;\nSELECT \'not reached\';\n', { flags: ['-v', 'ON_ERROR_STOP=1'] })
    assert.equal(stopped.status, 3)
    assert.doesNotMatch(stopped.out, /not reached/)
    const undone = await psql(shop, 'INSERT INTO jottings(body) VALUES (\'undone\');\nDROP TABLE orders;\n', { flags: ['-v', 'ON_ERROR_STOP=1', '-1'] })
    assert.equal(undone.status, 3)
    const left = await psql(shop, 'SELECT body FROM jottings;\nDELETE FROM jottings WHERE body = \'kept\';\n')
    assert.equal(left.out, 'kept\nDELETE 1\n')
    assert.equal((await run('psql', ['-X', '-c', 'DROP TABLE orders'], { env: environment(stage, shop, 'agents') })).status, 1)
  })
})

test('a transaction fails with its refusal, and savepoints save it', async () => {
  await everyShop(async (shop) => {
    const failed = await psql(shop, 'BEGIN;\nSELECT 1;\nDROP TABLE orders;\nSELECT 2;\nCOMMIT;\nSELECT 3;\n')
    assert.match(failed.err, /refused by Sluice[\s\S]*current transaction is aborted/)
    assert.equal(failed.out, 'BEGIN\n1\nROLLBACK\n3\n')
    const saved = await psql(shop, `\\set ON_ERROR_ROLLBACK on\nBEGIN;\nINSERT INTO jottings(body) VALUES ('a');\nDROP TABLE orders;\nINSERT INTO jottings(body) VALUES ('b');\nCOMMIT;\nSELECT body FROM jottings ORDER BY body;\nDELETE FROM jottings WHERE body IN ('a','b');\n`)
    assert.match(saved.err, /refused by Sluice/)
    assert.equal(saved.out, 'BEGIN\nINSERT 0 1\nINSERT 0 1\nCOMMIT\na\nb\nDELETE 2\n')
    const levels = await psql(shop, 'BEGIN;\nSET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE;\nSHOW transaction_isolation;\nSAVEPOINT a;\nSELECT 1/0;\nROLLBACK TO a;\nSELECT 4;\nEND;\n')
    assert.equal(levels.out, 'BEGIN\nSET\nserializable\nSAVEPOINT\nROLLBACK\n4\nCOMMIT\n')
  })
})

test('\\gdesc, \\gset, \\gexec, \\crosstabview, FETCH_COUNT, several statements in one text, PREPARE and cursors', async () => {
  await everyShop(async (shop) => {
    const { out, err } = await psql(shop, `
SELECT id, ssn FROM customers \\gdesc
SELECT ssn AS s FROM customers WHERE id = 1 \\gset
\\echo :s
SELECT 'SELECT 41' UNION ALL SELECT 'DROP TABLE orders' \\gexec
SELECT customer_id, status, count(*) FROM orders GROUP BY 1, 2 ORDER BY 1, 2 \\crosstabview
\\set FETCH_COUNT 1000
SELECT id FROM orders ORDER BY id \\g '${join(folder, 'ids')}'
\\unset FETCH_COUNT
SELECT 1\\; SELECT 2\\; SELECT ssn FROM customers WHERE id = 1;
SELECT 'on
two lines' AS
  words;
PREPARE p(int) AS SELECT id, ssn FROM customers WHERE id = $1;
EXECUTE p(1);
EXECUTE p(3);
DEALLOCATE p;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id, ssn FROM customers ORDER BY id;
FETCH 1 FROM c;
MOVE 1 IN c;
FETCH ALL FROM c;
FETCH PRIOR FROM c;
CLOSE c;
END;
\\errverbose
SELECT 1/0;
\\errverbose
`)
    assert.equal(out, 'id|integer\nssn|text\n[hidden]\n41\n1|6666||\n2||6667|\n3|||6667\n1\n2\n[hidden]\non\ntwo lines\nPREPARE\n1|[hidden]\n3|\nDEALLOCATE\nBEGIN\nDECLARE CURSOR\n1|[hidden]\nMOVE 1\n3|\n3|\nCLOSE CURSOR\nCOMMIT\n')
    assert.equal(readFileSync(join(folder, 'ids'), 'utf8').split('\n').length - 1, 20_000)
    assert.match(err, /division by zero/)
  })
})

test('LISTEN, NOTIFY and \\watch', async () => {
  await everyShop(async (shop) => {
    const heard = await psql(shop, `LISTEN news;\nNOTIFY news, 'hello ${SSN}';\nSELECT 1;\nUNLISTEN *;\n`)
    assert.match(heard.out, /Asynchronous notification "news" with payload "hello \[hidden\]" received/)
    const watched = await run('timeout', ['2', 'psql', '-X', '-At', '-c', 'SELECT 1'.concat(' '), '-f', '-'], { input: 'SELECT id, ssn FROM customers WHERE id = 1 \\watch 0.2\n', env: environment(stage, shop, 'agents') })
    assert.ok(watched.out.split('1|[hidden]').length > 3, watched.out)
  })
})

test('settings of libpq\'s environment reach the server; those that would change whom it takes the session for end the login', async () => {
  const shop = stage.shops[0]!
  const shown = (env: Record<string, string>, what: string) => psql(shop, `SHOW ${what};\n`, { env })
  assert.equal((await shown({ PGTZ: 'Europe/Berlin' }, 'timezone')).out, 'Europe/Berlin\n')
  assert.equal((await shown({ PGOPTIONS: '-c statement_timeout=5s -c search_path=public' }, 'statement_timeout')).out, '5s\n')
  assert.equal((await shown({ PGTARGETSESSIONATTRS: 'read-write' }, 'transaction_read_only')).out, 'off\n')
  assert.match((await shown({ PGOPTIONS: '-c role=gwsuper' }, 'role')).err, /FATAL: .*"role" is not taken/)
  assert.match((await shown({ PGCLIENTENCODING: 'LATIN1' }, 'client_encoding')).err, /FATAL: .*UTF8/)
})
