// Row filters through the whole gateway, with node-postgres and psql: two teams, one credential.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type pg from 'pg'
import { startIssuer, startTestGateway, type TestGateway, type TestIssuer } from '../servers/gateway.ts'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'
import { run } from './stage.ts'

interface Shop { readonly name: string; readonly server: TestServer }
let issuer: TestIssuer, gateway: TestGateway
let shops: Shop[] = []
before(async () => {
  issuer = await startIssuer()
  shops = await Promise.all(SUITE_VERSIONS.map(async (version) => ({ name: `shop${version}`, server: await startPostgres({ version }) })))
  for (const { server } of shops) await server.sql(`CREATE ROLE app LOGIN; GRANT CREATE ON SCHEMA public TO app; SET ROLE app;
    CREATE TABLE orders(id int PRIMARY KEY, team varchar(20) NOT NULL, amount int, ssn text);
    INSERT INTO orders SELECT g, CASE WHEN g % 2 = 0 THEN 'red' ELSE 'blue' END, g, 'secret ' || g FROM generate_series(1, 10) g`)
  const names = shops.map(({ name }) => name).join(', ')
  gateway = await startTestGateway(`identity:
  issuers:
    - { name: test, issuer: "${issuer.url}", audience: sluice, subject: email, groups: groups }
resources:
${shops.map(({ name, server }) => `  - { name: ${name}, protocol: postgres, address: "127.0.0.1:${server.port}", database: postgres, tls: disable, credential: { username: app } }`).join('\n')}
policies:
  - name: teams
    who: { any: true }
    on: { resources: [${names}] }
    allow: [read, write]
    mask: [{ fields: [public.orders.ssn], with: redact }]
    filter: [{ name: own, table: public.orders, where: "team = any(identity.groups)" }]
`)
})
after(async () => { await gateway?.stop(); issuer?.stop(); for (const { server } of shops) await server.stop() })
const connect = async (shop: Shop, group: string): Promise<pg.Client> => gateway.client({ database: shop.name, password: await issuer.token(`kim@${group}`, group) })

test('each team reads and changes its own rows, by texts and by prepared statements of one shape', async () => {
  for (const shop of shops) {
    const [red, blue, none] = [await connect(shop, 'red'), await connect(shop, 'blue'), await connect(shop, 'nobody')]
    const ids = async (client: pg.Client, text: string, values?: unknown[]) => (await client.query({ text, rowMode: 'array', ...(values === undefined ? {} : { values }) })).rows.flat()
    for (let again = 0; again < 3; again++) {
      assert.deepEqual(await ids(red, `SELECT id FROM orders WHERE id < ${again + 8} ORDER BY id`), [2, 4, 6, 8].filter((id) => id < again + 8))
      assert.deepEqual(await ids(blue, `SELECT id FROM orders WHERE id < ${again + 8} ORDER BY id`), [1, 3, 5, 7, 9].filter((id) => id < again + 8))
      assert.deepEqual(await ids(none, `SELECT id FROM orders WHERE id < ${again + 8} ORDER BY id`), [])
      assert.deepEqual(await ids(red, 'SELECT count(*)::int, max(ssn) FROM orders WHERE id > $1', [again]), [again > 1 ? 4 : 5, '[hidden]'])
    }
    assert.equal((await red.query('UPDATE orders SET amount = amount + 100')).rowCount, 5)
    assert.equal((await red.query('UPDATE orders SET amount = $1 WHERE id = $2', [7, 1])).rowCount, 0)
    assert.equal((await red.query('DELETE FROM orders WHERE id IN (1, 2)')).rowCount, 1)
    const outside = { code: '42501', message: /row filter/ }
    await assert.rejects(red.query('INSERT INTO orders VALUES (20, \'blue\', 1, NULL)'), outside)
    await assert.rejects(red.query('INSERT INTO orders VALUES ($1, $2, $3, NULL)', [20, 'blue', 1]), outside)
    for (let i = 0; i < 7; i++) await red.query({ name: 'put', text: 'INSERT INTO orders (id, team, amount) VALUES ($1, $2, $3)', values: [20 + i, 'red', i] })
    await assert.rejects(red.query({ name: 'put', text: 'INSERT INTO orders (id, team, amount) VALUES ($1, $2, $3)', values: [40, 'blue', 1] }), outside)
    await assert.rejects(red.query('UPDATE orders SET team = \'blue\' WHERE id = 20'), outside)
    await assert.rejects(red.query('EXPLAIN ANALYZE SELECT * FROM orders'), { code: '42501', detail: /row filter/ })
    await assert.rejects(red.query('COPY orders FROM STDIN'), { code: '42501' })
    await assert.rejects(red.query('SELECT 1 / (amount - 100) FROM orders WHERE id = 999 OR 1 / 0 = 1'), { code: '22012' })
    await red.query('BEGIN; DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id')
    assert.deepEqual(await ids(red, 'FETCH 2 FROM c'), [4, 6])
    await red.query('COMMIT')
    assert.deepEqual((await shop.server.sql('SELECT id, amount FROM orders WHERE team = \'blue\' ORDER BY id')).rows, [1, 3, 5, 7, 9].map((id) => ({ id, amount: id })))
    await Promise.all([red.end(), blue.end(), none.end()])
  }
})

test('psql sees its team\'s rows, also by COPY and by \\copy', async () => {
  for (const shop of shops) {
    const env = { PGHOST: '127.0.0.1', PGPORT: String(gateway.port), PGDATABASE: shop.name, PGUSER: 'kim', PGPASSWORD: await issuer.token('kim@blue', 'blue'), PSQLRC: '/dev/null' }
    for (const text of ['COPY (SELECT id FROM orders ORDER BY id) TO STDOUT', '\\copy orders (id) TO STDOUT', 'SELECT id FROM orders ORDER BY id', 'TABLE orders']) {
      const { out, err } = await run('psql', ['-AtX', '-c', text], { env })
      assert.deepEqual(out.trim().split('\n').map((line) => Number(line.split('|')[0])).sort(), [1, 3, 5, 7, 9], `${text} ${err}`)
    }
  }
})
