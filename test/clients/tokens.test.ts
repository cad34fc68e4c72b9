// Tokens through the whole gateway, with node-postgres and psql: what an agent sees, joins and groups by, and that no byte is a value.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type pg from 'pg'
import { Tokens } from '../../src/tokens/tokens.ts'
import { startIssuer, startTestGateway, type TestGateway, type TestIssuer } from '../servers/gateway.ts'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'
import { run } from './stage.ts'

interface Shop { readonly name: string; readonly server: TestServer }
let issuer: TestIssuer, gateway: TestGateway
let shops: Shop[] = []
const MAIL = ['zoe@mail.example', 'ana@mail.example', 'kim@mail.example']
const SSNS = ['900-11-2222', '123-45-6789', '555-66-7777']
export const SEED = `
  CREATE TABLE people(id int PRIMARY KEY, name text NOT NULL, email varchar(120) UNIQUE, ssn char(11), card text, code int, big bigint, pay numeric(12,2), ref uuid, born date, seen timestamptz, tiny varchar(8), small smallint, note text);
  INSERT INTO people VALUES
    (1, 'Zoe', '${MAIL[0]}', '${SSNS[0]}', '4539148803436467', 42, 9000000001, 1250.50, '6ba7b810-9dad-41d1-80b4-00c04fd430c8', '1980-02-29', '2024-01-02 03:04:05.25+00', 'secret', 7, 'plain'),
    (2, 'Ana', '${MAIL[1]}', '${SSNS[1]}', '378282246310005', -5, -7, -0.01, '6ba7b811-9dad-41d1-80b4-00c04fd430c8', '1999-12-31', '1999-12-31 23:59:59+00', NULL, 8, NULL),
    (3, 'Kim', '${MAIL[2]}', '${SSNS[2]}', NULL, NULL, NULL, 0.00, NULL, NULL, NULL, 'x', NULL, 'plain');
  CREATE TABLE orders(id int PRIMARY KEY, email text, amount int);
  INSERT INTO orders SELECT g, (ARRAY['${MAIL.join("','")}'])[1 + g % 3], g FROM generate_series(1, 9) g;
  CREATE VIEW contacts AS SELECT id, email AS mail FROM people;`
before(async () => {
  issuer = await startIssuer()
  shops = await Promise.all(SUITE_VERSIONS.map(async (version) => ({ name: `shop${version}`, server: await startPostgres({ version }) })))
  for (const { server } of shops) await server.sql(`CREATE ROLE app LOGIN; GRANT CREATE ON SCHEMA public TO app; SET ROLE app; ${SEED}`)
  const names = shops.map(({ name }) => name).join(', ')
  gateway = await startTestGateway(`identity:
  issuers:
    - { name: test, issuer: "${issuer.url}", audience: sluice, subject: email, groups: groups }
resources:
${shops.map(({ name, server }) => `  - { name: ${name}, protocol: postgres, address: "127.0.0.1:${server.port}", database: postgres, tls: disable, credential: { username: app } }`).join('\n')}
policies:
  - name: agents
    who: { any: true }
    on: { resources: [${names}] }
    allow: [read, write]
    mask: [{ fields: ["*.email", "public.people.ssn", "*.card", "*.code", "*.big", "*.pay", "*.ref", "*.born", "*.seen", "*.tiny", "*.small"], with: token }]
`)
})
after(async () => { await gateway?.stop(); issuer?.stop(); for (const { server } of shops) await server.stop() })

const connect = async (shop: Shop): Promise<pg.Client> => gateway.client({ database: shop.name, password: await issuer.token('kim@agents', 'agents') })
const tokens = (): Tokens => new Tokens(Buffer.from(readFileSync(join(gateway.data, 'keys', 'token.key'), 'utf8').trim(), 'hex'))
const VALUES = /@mail\.example|900-11-2222|123-45-6789|555-66-7777|4539148803436467|378282246310005|6ba7b81|1980-02-29|1999-12-31|9000000001|1250\.50|secret/
async function everyShop(body: (client: pg.Client, shop: Shop) => Promise<void>): Promise<void> {
  for (const shop of shops) {
    const client = await connect(shop)
    try { await body(client, shop) } finally { await client.end() }
  }
}
const rowsOf = async (client: pg.Client, text: string, values?: unknown[]): Promise<unknown[][]> => {
  const { rows } = await client.query({ text, rowMode: 'array', types: { getTypeParser: () => (value: string) => value }, ...(values === undefined ? {} : { values }) } as pg.QueryArrayConfig)
  assert.doesNotMatch(JSON.stringify(rows), VALUES, text)
  return rows
}

test('a token has its column\'s type and shape, is the same each time, and NULL stays NULL', async () => {
  await everyShop(async (client) => {
    const [one, two, three] = await rowsOf(client, 'SELECT * FROM people ORDER BY id')
    assert.match(String(one![2]), /^[a-z2-7]+@([a-z2-7]+\.)*token\.invalid$/)
    assert.match(String(one![3]), /^\d{3}-\d\d-\d{4}$/)
    assert.match(String(one![4]), /^\d{16}$/)
    assert.match(String(two![4]), /^\d{15}$/)
    assert.match(String(one![5]), /^\d+$/)
    assert.match(String(two![7]), /^-\d+\.\d\d$/)
    assert.match(String(one![8]), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    assert.match(String(one![9]), /^\d{4}-\d\d-\d\d$/)
    assert.match(String(one![10]), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.25\+/)
    assert.deepEqual([one![11], two![11], one![12]], ['[hidden]', null, null], 'what has no token that fits is hidden whole')
    assert.deepEqual(three!.slice(4, 7), [null, null, null])
    assert.deepEqual([one![1], one![13]], ['Zoe', 'plain'])
    for (const [kind, value, token] of [[{ kind: 'text', length: 120 }, MAIL[0], one![2]], [{ kind: 'text', length: 11 }, SSNS[0], one![3]], [{ kind: 'int4' }, '42', one![5]], [{ kind: 'numeric', precision: 12, scale: 2 }, '1250.50', one![7]], [{ kind: 'date' }, '1980-02-29', one![9]]] as const) {
      assert.equal(tokens().hide(kind as never, value!), token)
      assert.equal(tokens().back(kind as never, String(token))?.value, value)
    }
    assert.deepEqual(await rowsOf(client, 'SELECT id, email, ssn, card FROM people p WHERE p.id = $1', [1]), [[one![0], one![2], one![3], one![4]]])
    assert.deepEqual(await rowsOf(client, 'SELECT mail FROM contacts ORDER BY id'), [[one![2]], [two![2]], [three![2]]])
  })
})
test('binary cells, cursors, COPY in every format and RETURNING give the same tokens', async () => {
  await everyShop(async (client, shop) => {
    const plain = await rowsOf(client, 'SELECT id, email, ssn, card, code, big, pay, ref, born, seen FROM people ORDER BY id')
    const { rows } = await client.query({ text: 'SELECT id, email, ssn, card, code, big, pay::text IS NULL AS x, ref, born, seen FROM people ORDER BY id', binary: true, rowMode: 'array' } as unknown as pg.QueryArrayConfig) as unknown as { rows: unknown[][] }
    const shown = (value: unknown) => value instanceof Date ? value.getTime() : Buffer.isBuffer(value) ? value.toString('hex') : value === null ? null : String(value)
    assert.deepEqual(rows.map((row) => [0, 1, 2, 3, 4, 5].map((i) => shown(row[i]))), plain.map((row) => [0, 1, 2, 3, 4, 5].map((i) => shown(row[i]))))
    await client.query('BEGIN')
    await client.query('DECLARE c CURSOR FOR SELECT email FROM people ORDER BY id')
    assert.deepEqual(await rowsOf(client, 'FETCH ALL FROM c'), plain.map((row) => [row[1]]))
    await client.query('COMMIT')
    const back = await rowsOf(client, 'UPDATE people SET name = name WHERE id = 1 RETURNING id, email, ssn, card, code, big, pay, ref, born, seen')
    assert.deepEqual(back, [plain[0]])
    const env = { PGHOST: '127.0.0.1', PGPORT: String(gateway.port), PGDATABASE: shop.name, PGUSER: 'kim', PGPASSWORD: await issuer.token('kim@agents', 'agents'), PSQLRC: '/dev/null', PGTZ: String((await client.query('SHOW timezone')).rows[0].TimeZone) }
    const columns = 'id, email, ssn, card, code, big, pay, ref, born, seen'
    for (const [text, cut] of [[`COPY (SELECT ${columns} FROM people ORDER BY id) TO STDOUT`, '\t'], [`COPY people (${columns}) TO STDOUT`, '\t'], [`\\copy (SELECT ${columns} FROM people ORDER BY id) TO STDOUT CSV HEADER`, ',']] as const) {
      const { out, err } = await run('psql', ['-X', '-c', text], { env })
      assert.doesNotMatch(out, VALUES)
      const lines = out.trim().split('\n').map((line) => line.split(cut).map((cell) => cell === '\\N' || cell === '' ? null : cell.replaceAll('"', ''))).filter((line) => line[0] !== 'id')
      assert.deepEqual(lines.toSorted((a, b) => Number(a[0]) - Number(b[0])), plain, `${text} ${err}`)
    }
    for (const text of ['COPY people TO STDOUT (FORMAT binary)', 'COPY (SELECT email, born, pay, ref, seen FROM people) TO STDOUT (FORMAT binary)']) {
      const { out } = await run('psql', ['-X', '-c', text], { env })
      assert.doesNotMatch(out, VALUES)
      assert.match(out, /token\.invalid/, text)
    }
  })
})
test('joins and groups by tokens hold; their order tells nothing', async () => {
  await everyShop(async (client) => {
    const mails = (await rowsOf(client, 'SELECT email FROM people ORDER BY id')).flat()
    const sums = new Map([[mails[0], 18], [mails[1], 12], [mails[2], 15]])
    for (const text of ['SELECT p.email, sum(o.amount) FROM people p JOIN orders o ON o.email = p.email GROUP BY p.email', 'SELECT email, sum(amount) AS s FROM orders GROUP BY email', 'SELECT o.email, sum(amount) FROM orders o, people p WHERE p.email = o.email AND p.id < 9 GROUP BY 1 ORDER BY 2 DESC', 'SELECT email, sum(amount) FROM orders GROUP BY email HAVING count(email) > 1 ORDER BY sum(amount) LIMIT 5']) {
      const found = await rowsOf(client, text)
      assert.deepEqual(new Map(found.map(([mail, sum]) => [mail, Number(sum)])), sums, text)
    }
    assert.deepEqual(new Set((await rowsOf(client, 'SELECT DISTINCT email FROM orders')).flat()), new Set(mails))
    assert.deepEqual(await rowsOf(client, 'SELECT count(email), count(DISTINCT email) FROM orders WHERE email IS NOT NULL'), [['9', '3']])
    assert.deepEqual((await rowsOf(client, 'SELECT p.id, p.email, o.email FROM people p LEFT JOIN orders o ON o.email = p.email AND o.id < 3 ORDER BY p.id')).map(([id, a, b]) => [id, a === mails[Number(id) - 1], b === null || b === a]), [['1', true, true], ['2', true, true], ['3', true, true]])
    const orders = new Set<string>()
    for (let i = 0; i < 40; i++) orders.add((await rowsOf(client, 'SELECT email, count(*) FROM orders GROUP BY email ORDER BY count(*)')).map(([mail]) => mails.indexOf(mail)).join())
    assert.ok(orders.size > 1, 'ties come in any order')
  })
})
test('any other use sees the mask, and so does every use beside it', async () => {
  await everyShop(async (client) => {
    for (const text of ['SELECT upper(email) FROM people', 'SELECT email FROM people ORDER BY email', 'SELECT email AS e FROM people ORDER BY e', 'SELECT email FROM people ORDER BY 1', 'SELECT email || \'\' FROM people', 'SELECT max(email) FROM people', 'SELECT email FROM people WHERE email LIKE \'a%\' OR id > 0', 'SELECT email FROM people UNION ALL SELECT \'x\'',
      'SELECT (SELECT email FROM people LIMIT 1)', 'WITH x AS (SELECT email FROM people) SELECT * FROM x', 'SELECT email FROM (SELECT * FROM people) s', 'SELECT row_to_json(p) FROM people p', 'SELECT p FROM people p', 'SELECT array_agg(email) FROM people', 'SELECT email, row_number() OVER (ORDER BY email) FROM people', 'SELECT DISTINCT ON (email) email FROM people',
      'SELECT email FROM people GROUP BY email ORDER BY min(email)', 'SELECT count(*) FILTER (WHERE email > \'b\'), email FROM people GROUP BY email', 'SELECT p.email FROM people p, people q WHERE p.email < q.email', 'SELECT CASE WHEN email = \'x\' THEN email END FROM people', 'SELECT email FROM people p WHERE EXISTS (SELECT 1 FROM orders o WHERE o.email = p.email AND o.id > 0) OR true', 'SELECT * FROM people AS x(a, b, c)',
      'SELECT a.email, b.email FROM people a, people b WHERE a.id = b.id AND upper(b.email) <> \'x\'', 'SELECT json_agg(email ORDER BY email) FROM orders', 'SELECT string_agg(email, \',\') FROM orders', 'SELECT coalesce(email, \'x\') FROM people', 'SELECT email::bytea FROM people', 'EXPLAIN (COSTS OFF) SELECT email FROM people WHERE id = 1', 'SELECT DISTINCT email FROM orders ORDER BY email', 'SELECT email FROM orders GROUP BY email LIMIT 1', 'SELECT DISTINCT email FROM orders LIMIT 1']) {
      const found = await rowsOf(client, text).catch((error: Error & { code: string }) => { assert.match(error.code, /^42/, `${text}: ${error.message}`); return [] })
      assert.doesNotMatch(JSON.stringify(found), /token\.invalid/, text)
    }
  })
})
test('a token given in a condition finds and changes what it stands for, as literal, parameter or in a list', async () => {
  await everyShop(async (client, shop) => {
    const [one, two] = await rowsOf(client, 'SELECT id, email, ssn, card, code, big, pay, ref, born, seen FROM people ORDER BY id') as [string[], string[]]
    const names = ['id', 'email', 'ssn', 'card', 'code', 'big', 'pay', 'ref', 'born', 'seen']
    for (let i = 1; i < names.length; i++) {
      const literal = /^-?\d+$/.test(one[i]!) && i > 3 ? one[i]! : `'${one[i]!}'`
      for (const [text, values] of [[`SELECT id FROM people WHERE ${names[i]} = ${literal}`, undefined], [`SELECT p.id FROM people p WHERE p.id < 9 AND $1 = p.${names[i]}`, [one[i]]], [`SELECT id FROM people WHERE ${names[i]} IN ($1, ${literal})`, [one[i]]]] as const) {
        assert.deepEqual(await rowsOf(client, text, values === undefined ? undefined : [...values]), [['1']], text)
      }
    }
    for (const value of [MAIL[0], 'x', 'tok_zzzz', one[1]!.replace('@', 'a@')]) {
      assert.deepEqual(await rowsOf(client, 'SELECT id FROM people WHERE email = $1', [value]), [], value)
      assert.deepEqual(await rowsOf(client, `SELECT id FROM people WHERE email = '${value}'`), [], value)
    }
    assert.deepEqual(await rowsOf(client, 'SELECT id, email FROM people WHERE email = $1', [one[1]]), [['1', one[1]]])
    assert.deepEqual(await rowsOf(client, 'SELECT o.id FROM people p JOIN orders o ON o.email = p.email WHERE p.email = $1 ORDER BY o.id', [one[1]]), [['3'], ['6'], ['9']])
    assert.deepEqual((await client.query({ name: 'by-mail', text: 'SELECT id, $1::text AS given FROM people WHERE email = $1', values: [two[1]] })).rows, [{ id: 2, given: two[1] }])
    assert.deepEqual((await client.query({ name: 'by-mail', text: 'SELECT id, $1::text AS given FROM people WHERE email = $1', values: [one[1]] })).rows, [{ id: 1, given: one[1] }])
    assert.equal((await client.query('UPDATE people SET note = \'found\' WHERE email = $1', [two[1]])).rowCount, 1)
    assert.equal((await client.query(`UPDATE people SET note = 'again' WHERE ssn = '${two[2]}' AND email IN ('${one[1]}', '${two[1]}')`)).rowCount, 1)
    assert.deepEqual((await shop.server.sql('SELECT note FROM people WHERE id = 2')).rows, [{ note: 'again' }])
    assert.equal((await client.query('DELETE FROM people WHERE email = $1', ['no token'])).rowCount, 0)
    await assert.rejects(client.query(`DELETE FROM people WHERE email = '${MAIL[0]}'`), { code: '42501' })
    await assert.rejects(client.query(`DELETE FROM people WHERE email > '${one[1]}'`), { code: '42501' })
    await client.query('BEGIN')
    assert.equal((await client.query('DELETE FROM people WHERE ssn = $1', [one[2]])).rowCount, 1)
    await client.query('ROLLBACK')
  })
})
test('a token that is stored becomes its value; a value of its own stays, and goes nowhere else', async () => {
  await everyShop(async (client, shop) => {
    const bare = async (text: string) => (await shop.server.sql(text)).rows
    const [one] = await rowsOf(client, 'SELECT email, ssn, card, code, big, pay, ref, born FROM people WHERE id = 1') as [string[]]
    const [mail, ssn, card, code, big, pay, ref, born] = one as [string, string, string, string, string, string, string, string]
    await client.query(`INSERT INTO orders VALUES (101, '${mail}', 1), (102, 'real@new.example', 2)`)
    await client.query('INSERT INTO orders (id, email, amount) VALUES ($1, $2, 3), ($3, $4, 4)', [103, mail, 104, 'other@new.example'])
    assert.deepEqual(await bare('SELECT id, email FROM orders WHERE id > 100 ORDER BY id'), [{ id: 101, email: MAIL[0] }, { id: 102, email: 'real@new.example' }, { id: 103, email: MAIL[0] }, { id: 104, email: 'other@new.example' }])
    await client.query('INSERT INTO people (id, name, ssn, card, code, big, pay, ref, born) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)', [11, 'Copy', ssn, card, code, big, pay, ref, born])
    await client.query(`INSERT INTO people (id, name, ssn, card, code, big, pay, ref, born) VALUES (12, 'Copy', '${ssn}', '${card}', ${code}, ${big}, ${pay}, '${ref}', '${born}')`)
    for (const id of [11, 12]) assert.deepEqual(await bare(`SELECT ssn, card, code, big, pay, ref, born FROM people WHERE id = ${id}`), await bare('SELECT ssn, card, code, big, pay, ref, born FROM people WHERE id = 1'))
    const fresh = [13, 'New', '111-22-3333', '5425233430109903', 7, '12', '5.00', '00000000-0000-0000-0000-000000000001', '2001-02-03']
    await client.query('INSERT INTO people (id, name, ssn, card, code, big, pay, ref, born) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)', fresh)
    assert.deepEqual(Object.values((await bare('SELECT id, name, ssn, card, code, big, pay, ref, born::text FROM people WHERE id = 13'))[0] as object), fresh)
    await client.query('UPDATE people SET ssn = \'222-33-4444\', code = 8, born = \'2002-02-02\', card = $1 WHERE id = 13', ['4111111111111111'])
    assert.deepEqual(await bare('SELECT ssn, code, born::text, card FROM people WHERE id = 13'), [{ ssn: '222-33-4444', code: 8, born: '2002-02-02', card: '4111111111111111' }])
    // The same parameter, or the same text, in a column that hides nothing, stays a token.
    await client.query('INSERT INTO people (id, name, note, email) VALUES ($1, $2, $2, $3)', [14, mail, mail.replace('@', 'x@')])
    await client.query('UPDATE people SET card = $1, note = $1, name = $1 WHERE id = 14', [card])
    assert.deepEqual(await bare('SELECT card, note, name FROM people WHERE id = 14'), [{ card: '4539148803436467', note: card, name: card }])
    await client.query('UPDATE orders SET email = $1, amount = 1 WHERE id = 104', [mail])
    await client.query('UPDATE people SET note = $1 WHERE email = $1', [mail])
    assert.deepEqual(await bare('SELECT note FROM people WHERE id = 1'), [{ note: mail }])
    assert.doesNotMatch(JSON.stringify(await rowsOf(client, 'SELECT id, name, note FROM people')), VALUES)
    const clash = await client.query('INSERT INTO people (id, name, email) VALUES (99, \'x\', $1)', [mail]).then(() => null, (error: Error) => error)
    assert.ok(clash !== null)
    assert.doesNotMatch(JSON.stringify({ ...clash, message: clash.message }), VALUES)
    await shop.server.sql('DELETE FROM orders WHERE id > 100; DELETE FROM people WHERE id > 10')
  })
})
test('an ORM that saves the whole row it read changes only what it means to', async () => {
  await everyShop(async (client, shop) => {
    const bare = async () => (await shop.server.sql('SELECT * FROM people ORDER BY id')).rows
    const was = await bare()
    const names = ['name', 'email', 'ssn', 'card', 'code', 'big', 'pay', 'ref', 'born', 'seen', 'tiny', 'note']
    const text = `UPDATE people SET ${names.map((name, i) => `${name} = $${i + 2}`).join(', ')} WHERE id = $1`
    const rows = await rowsOf(client, `SELECT id, ${names.join(', ')} FROM people ORDER BY id`)
    for (const row of rows) assert.equal((await client.query({ name: 'save', text, values: row })).rowCount, 1)
    assert.deepEqual(await bare(), was)
    for (const [id, ...row] of rows) await client.query(`UPDATE people SET ${names.map((name, i) => `${name} = ${row[i] === null ? 'NULL' : `'${String(row[i])}'`}`).join(', ')} WHERE id = ${String(id)}`)
    assert.deepEqual(await bare(), was)
    // Drivers that ask for the parameters' types see their own.
    const described = await client.query({ name: 'save', text, values: [1, 'Zoë', ...(rows[0] as unknown[]).slice(2)] })
    assert.equal(described.rowCount, 1)
    assert.deepEqual(await bare(), was.map((row: { id: number }) => row.id === 1 ? { ...row, name: 'Zoë' } : row))
    await shop.server.sql('UPDATE people SET name = \'Zoe\' WHERE id = 1')
  })
})
test('the key is the installation\'s own and nowhere else', () => {
  const key = readFileSync(join(gateway.data, 'keys', 'token.key'), 'utf8').trim()
  assert.equal(key.length, 64)
  assert.notEqual(createHmac('sha256', key).digest('hex'), readFileSync(join(gateway.data, 'keys', 'hash.key'), 'utf8').trim())
})
