// Tags from end to end, on the servers that the suites are run on: what is proposed, that no value comes along, and that what is tagged
// is hidden, refused and counted.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ClassifiedView } from '../../src/api/schema.ts'
import { RecordReader, recordOpener } from '../../src/store/record/index.ts'
import { callApi } from '../servers/api.ts'
import { startIssuer, startTestGateway, type TestGateway, type TestIssuer } from '../servers/gateway.ts'
import { startPostgres, SUITE_VERSIONS, type TestServer } from '../servers/postgres.ts'

const MARK = 'zanzibar'
const TABLES = `CREATE ROLE app LOGIN;
  CREATE TABLE customers (id int PRIMARY KEY, full_name text, contact text, ssn varchar(11), notes text, "Weird ""Name" text, card_number bigint, seen inet, joined date);
  INSERT INTO customers SELECT i, 'Person ' || i, 'c' || i || '@${MARK}.example', lpad((100 + i)::text, 3, '0') || '-12-' || lpad(i::text, 4, '0'),
    CASE WHEN i % 4 = 0 THEN 'called from +1 (415) 555-2' || lpad((i % 900)::text, 3, '0') || ' about the order' ELSE 'nothing to say' END, 'c' || i || '@${MARK}.example', NULL, '10.0.0.1', '2024-01-01' FROM generate_series(1, 300) i;
  UPDATE customers SET card_number = 4539148803436467 WHERE id < 100;
  CREATE TABLE apps (id int, token text, label text, order_number text);
  INSERT INTO apps SELECT i, 'ghp_' || repeat(md5(i::text), 2), 'app ' || i, '45391488034364' || (10 + i % 50) FROM generate_series(1, 50) i;
  ALTER TABLE apps ADD COLUMN who text; COMMENT ON COLUMN apps.who IS 'full name of the owner';
  CREATE TABLE leads (id int, ssn varchar(11), email int);
  CREATE TABLE hidden_one (email text); INSERT INTO hidden_one VALUES ('secret@${MARK}.example');
  CREATE VIEW loud AS SELECT 1 / 0 AS x, contact FROM customers;
  CREATE TABLE parted (at date, contact text) PARTITION BY RANGE (at); CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); INSERT INTO parted SELECT '2024-02-02', 'p' || i || '@${MARK}.example' FROM generate_series(1, 30) i;
  CREATE TABLE large (id int, mail_address text); INSERT INTO large SELECT i, 'l' || i || '@${MARK}.example' FROM generate_series(1, 30000) i; ANALYZE large;
  GRANT SELECT ON customers, apps, leads, loud, parted, large TO app; GRANT USAGE ON SCHEMA public TO app`

for (const version of SUITE_VERSIONS) {
  let server: TestServer, issuer: TestIssuer, gateway: TestGateway, admin: string
  const post = async (path: string, token: string) => callApi(gateway.web, token, 'POST', path)

  before(async () => {
    server = await startPostgres({ version })
    await server.sql(TABLES)
    issuer = await startIssuer()
    gateway = await startTestGateway(`identity:
  issuers: [{ name: corp, issuer: "${issuer.url}", audience: sluice, subject: email, groups: groups }]
resources:
  - name: orders
    protocol: postgres
    address: 127.0.0.1:${server.port}
    database: postgres
    tls: disable
    credential: { username: app, password: none }
    tags: { pii: [public.customers.ssn, "*.contact"], private: [public.apps.token], rare: [public.large.mail_address] }
policies:
  - name: readers
    who: { groups: [dev] }
    on: { resources: [orders] }
    allow: [read]
    mask: [{ tags: [pii], with: redact }]
    deny: [{ name: no-private, tags: [private] }]
    budget: [{ rows: 50, per: 1h, tags: [rare] }]
  - name: seekers
    who: { groups: [seek] }
    on: { resources: [orders] }
    allow: [read]
    mask: [{ tags: [pii], detect: [phone, email], with: redact }]
`, { gateway: '  admins: { groups: [platform] }\n', workers: 1 })
    admin = await issuer.token('ana@x.example', 'platform,dev')
  })
  after(async () => { await gateway?.stop(); issuer?.stop(); await server?.stop() })

  test(`PostgreSQL ${version}: columns are proposed by what they hold, and no value comes along`, async () => {
    assert.equal((await post('/api/resources/orders/classify', await issuer.token('bo@x.example', 'dev'))).status, 403)
    const answer = await post('/api/resources/orders/classify', admin)
    assert.equal(answer.status, 200, answer.text)
    const { columns, unread } = answer.json<ClassifiedView>()
    const of = (field: string) => columns.find((column) => column.field === field)
    const told = (field: string) => { const { tag, kind, within, tags, like } = of(field) ?? {}; return { tag, kind, within, tags, like } }
    assert.deepEqual(told('public.customers.contact'), { tag: 'pii', kind: 'email', within: false, tags: ['pii'], like: null })
    assert.deepEqual(told('public.customers."Weird ""Name"'), { tag: 'pii', kind: 'email', within: false, tags: [], like: null })
    assert.deepEqual(told('public.customers.notes'), { tag: 'pii', kind: 'phone', within: true, tags: [], like: null })
    assert.deepEqual(told('public.customers.card_number'), { tag: 'pii', kind: 'credit-card', within: false, tags: [], like: null })
    assert.deepEqual(told('public.customers.seen'), { tag: 'pii', kind: 'ip', within: false, tags: [], like: null })
    assert.deepEqual(told('public.customers.full_name'), { tag: 'pii', kind: 'person-name', within: false, tags: [], like: null })
    assert.deepEqual(told('public.apps.token'), { tag: 'secret', kind: 'api-key', within: false, tags: ['private'], like: null })
    assert.deepEqual(told('public.apps.who'), { tag: 'pii', kind: 'person-name', within: false, tags: [], like: null })
    assert.deepEqual(told('public.leads.ssn'), { tag: 'pii', kind: 'us-ssn', within: false, tags: [], like: 'public.customers.ssn' })
    assert.equal(of('public.large.mail_address')?.kind, 'email')
    assert.ok(of('public.parted.contact')!.confidence >= 0.95)
    for (const field of ['public.customers.id', 'public.customers.joined', 'public.apps.label', 'public.apps.order_number', 'public.parted_1.contact']) assert.equal(of(field), undefined, field)
    assert.ok(of('public.customers.contact')!.sampled <= 200)
    assert.deepEqual(unread.map(({ table }) => table).sort(), ['public.hidden_one', 'public.loud'])
    assert.ok(!answer.text.includes(MARK) && !gateway.log().includes(MARK))
    // Nothing is left behind: no setting, no value in any file of the gateway.
    for (const file of readdirSync(gateway.data, { recursive: true, withFileTypes: true })) if (file.isFile() && !file.parentPath.includes('/pg')) assert.ok(!readFileSync(join(file.parentPath, file.name)).includes(MARK), file.name)
  })

  test(`PostgreSQL ${version}: what is tagged is hidden, refused and counted`, async () => {
    const client = await gateway.client({ database: 'orders', password: await issuer.token('bo@x.example', 'dev') })
    const shown = (await client.query('SELECT ssn, contact, full_name FROM customers WHERE id = 1')).rows[0]
    assert.deepEqual(shown, { ssn: '[hidden]', contact: '[hidden]', full_name: 'Person 1' })
    await assert.rejects(client.query('SELECT token FROM apps'), { code: '42501', message: /readers\/no-private/ })
    assert.equal((await client.query('SELECT id FROM large')).rowCount, 30_000)
    await assert.rejects(client.query('SELECT mail_address FROM large'), { code: '42501', message: /budget/ })
    await client.end()
  })

  test(`PostgreSQL ${version}: what detectors hide is counted in the record, by kind and statement`, async () => {
    const client = await gateway.client({ database: 'orders', password: await issuer.token('cy@x.example', 'seek') })
    const { rows } = await client.query('SELECT notes, "Weird ""Name" FROM customers WHERE id <= 40 ORDER BY id')
    assert.deepEqual(rows[3], { notes: 'called from [hidden] about the order', 'Weird "Name': '[hidden]' })
    await client.query('SELECT id FROM customers')
    assert.equal((await client.query({ text: 'SELECT notes FROM customers WHERE id = $1', values: [8] })).rows[0].notes, 'called from [hidden] about the order')
    await client.end()
    const events = () => [...new RecordReader(join(gateway.data, 'recordings'), recordOpener(join(gateway.data, 'keys'))).events()].map(({ body }) => body as { what?: string; run?: number; kinds?: unknown }).filter(({ what }) => what === 'found')
    for (let i = 0; i < 50 && events().length < 2; i++) await sleep(100)
    const found = events()
    assert.deepEqual(found.map(({ kinds }) => kinds), [{ phone: 10, email: 40 }, { phone: 1 }])
    assert.equal(new Set(found.map(({ run }) => run)).size, 2)
  })
}
