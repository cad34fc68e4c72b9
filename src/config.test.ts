import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { loadConfig, parseConfig } from './config.ts'
import { ConfigErrors } from './core/errors.ts'
import { parsePolicies } from './core/policy-rules.ts'
import { parseResource } from './core/resource-rules.ts'

const FACE = `
gateway:
  data: ./data
  store: embedded
  recordings: file
  workers: auto
  tls: auto
  listen: { web: 0.0.0.0:8443, proxy: 0.0.0.0:8444, postgres: 0.0.0.0:15432, ssh: 0.0.0.0:12222 }
  admins: { groups: [platform] }
  auditors: { groups: [audit] }
  heads: ./heads
  webhook: { url: https://hooks.example.com/x, secret: { env: HOOK_SECRET } }
identity:
  issuers:
    - { name: corp, issuer: https://idp.example.com, audience: sluice, subject: email, groups: groups }
  saml: []
  people: [{ subject: ana@example.com, groups: [dba], keys: [{ file: ana.pub }] }]
  authorities: [{ file: users_ca.pub }]
resources:
  - name: orders
    protocol: postgres
    address: db.internal:5432
    database: orders
    tls: verify-full
    credential: { username: sluice, password: { env: ORDERS_PASSWORD } }
    attribution: application_name
    tags: { pii: ["public.customers.ssn", "*.email"] }
    functions: [public.status_label(text)]
    limits: { statement: 5m, idle: 1h, sessions: 20 }
    labels: { env: prod, data: customer }
    record: balanced
    retain: 90d
    session: { max: 8h }
policies:
  - name: support-agents-read
    who:  { groups: [support-agents] }
    on:   { resources: [orders], labels: { env: prod } }
    allow: [read]
    deny:
      - { name: no-ddl, operations: [sql.drop, sql.truncate, sql.grant], message: "schema changes go through migrations" }
      - { name: no-dump, rows: 100000 }
      - { name: no-salary, fields: ["*.salary"] }
      - { name: no-data-out, operations: [http], detect: [us-ssn] }
    commands: [[uptime], [git, log, "**"], [cat, "/srv/app/*"]]
    shell: none
    review:
      - { name: bulk-export, rows: 1000, reviewers: { groups: [security] }, within: 15m, wait: hold }
      - { name: bulk-bytes, bytes: 10MB, reviewers: { groups: [security] } }
      - { name: unbounded-write, operations: [sql.delete, sql.update], when: "!statement.bounded", reviewers: { groups: [leads] } }
    mask:
      - { fields: ["public.customers.ssn", "*.card_number"], with: redact, lookups: 10/1m }
      - { fields: ["*.email"], with: token }
      - { detect: [credit-card, us-ssn, api-key, email, { name: badge, pattern: 'B-\\d{6}' }], with: redact }
    budget: [{ rows: 50000, per: 24h, of: identity, then: review, reviewers: { groups: [security] } }]
    filter: [{ table: public.orders, where: "team = any(identity.groups)" }]
    mode: enforce
`
const FILE = '/etc/sluice/sluice.yaml'
const mistakes = (text: string): string[] => {
  try { parseConfig(text, FILE) } catch (error) { assert.ok(error instanceof ConfigErrors); return error.list.map(one => one.message) }
  return []
}
const resource = (more: string) => `resources:\n  - { name: r, protocol: postgres, address: db.example:5432, database: d, credential: { username: u }, ${more} }\n`

test('the example that users are shown is read whole', () => {
  const config = parseConfig(FACE, FILE)
  assert.deepEqual(config.gateway.listen.postgres, { host: '0.0.0.0', port: 15432 })
  assert.equal(config.gateway.data, '/etc/sluice/data', 'relative to the folder of the file')
  assert.equal(config.gateway.heads, '/etc/sluice/heads')
  assert.deepEqual(config.gateway.webhook?.secret, { kind: 'env', name: 'HOOK_SECRET' })
  assert.deepEqual(config.identity.people[0]?.keyFiles, ['/etc/sluice/ana.pub'])
  const [orders] = config.resources
  assert.deepEqual(orders?.limits, { statementMs: 300_000, idleMs: 3_600_000, sessions: 20 })
  assert.deepEqual([orders?.retainMs, orders?.sessionMaxMs, orders?.tls, orders?.origin], [90 * 86_400_000, 8 * 3_600_000, 'verify-full', 'file'])
  assert.deepEqual(orders?.credentials, { admin: { username: 'sluice', password: { kind: 'env', name: 'ORDERS_PASSWORD' } } })
  assert.equal(config.policies[0]?.review[1]?.bytes, 10_000_000)
  const warnings = config.warnings.map(one => one.message).join('\n')
  for (const expected of [/proxy is not built/, /ORDERS_PASSWORD is not set/]) assert.match(warnings, expected)
  assert.ok(config.warnings.every(one => /^sluice\.yaml:\d+:\d+$/.test(one.where)), JSON.stringify(config.warnings))
})

test('groups are given to a person of one issuer, by its name', () => {
  const issuers = '  issuers: [{ name: a, issuer: "https://a.example", audience: s }, { name: b, issuer: "https://b.example", audience: s }]\n'
  assert.match(mistakes(`identity:\n${issuers}  people: [{ subject: ana, groups: [dba] }]\n`).join(), /:3:23: .*say whose ana this is.*a, b/)
  assert.match(mistakes(`identity:\n${issuers}  people: [{ subject: ana, issuer: c, groups: [dba] }]\n`).join(), /no issuer is named `c`/)
  assert.match(mistakes(`identity:\n${issuers}  people: [{ subject: ana, issuer: a }, { subject: ana, issuer: a }]\n`).join(), /a second entry for ana/)
  assert.deepEqual(mistakes(`identity:\n${issuers}  people: [{ subject: ana, issuer: a }, { subject: ana, issuer: b }]\n`), [])
  assert.equal(parseConfig(FACE, FILE).identity.people[0]?.issuer, 'corp', 'the only one there is')
})

test('a webhook without a secret is refused, what is read and not used is warned of', () => {
  assert.match(mistakes('gateway: { webhook: { url: "https://h.example", secret: none } }').join(), /without a secret/)
  const warnings = parseConfig(FACE, FILE).warnings.map(one => one.message).join('\n')
  assert.match(warnings, /`authorities` are not used/)
  assert.match(warnings, /keys of ana@example.com are not used/)
})

test('every configuration of the corpus is read', () => {
  const folder = new URL('../test/corpus/', import.meta.url).pathname
  const files = readdirSync(folder).filter(name => /^sluice.*\.yaml$/.test(name))
  assert.ok(files.length >= 2)
  for (const file of files) assert.ok(loadConfig(join(folder, file), {}).policies.length > 0, file)
})

test('resources of protocols that are not built are read, warned of, and can\'t be opened', () => {
  const config = parseConfig(`
resources:
  - { name: kube, protocol: kubernetes, address: 127.0.0.1:56443, tls: verify-full, ca: { file: kube/ca.crt }, credential: { bearer: { env: KUBE_TOKEN } }, attribution: none }
  - { name: bucket, protocol: s3, address: 127.0.0.1:56480, tls: disable }
  - { name: web-1, protocol: ssh, address: 127.0.0.1:55922, host_key: { file: ssh-keys/host.pub }, credential: { username: root, key: { file: ssh-keys/upstream } } }
  - { name: far, protocol: postgres, address: db:5432, database: d, credential: { username: u }, connector: vpc-a }
`, FILE)
  for (const one of config.resources) {
    assert.match(one.refused ?? '', /not built yet/)
    assert.ok(config.warnings.some(warning => warning.message.includes(`resource ${one.name}: `) && warning.message.includes('no session can be opened')))
  }
})

test('an unknown key is an error with its line, wherever it stands', () => {
  assert.deepEqual(mistakes('gateway:\n  dta: ./x\nidentity:\n  issuers:\n    - name: a\n      issuer: https://a.example\n      audience: s\n      aud: t\nresorces: []\n'),
    ['sluice.yaml:2:3: unknown key `dta` in `gateway`', 'sluice.yaml:8:7: unknown key `aud` in `issuers`', 'sluice.yaml:9:1: unknown key `resorces`'])
  assert.deepEqual(mistakes(resource('credental: 1')), ['sluice.yaml:2:104: unknown key `credental` in `resources`'])
  assert.deepEqual(mistakes('policies:\n  - name: p\n    who: { any: true }\n    on: {}\n    mask:\n      - fields: ["*.a"]\n        wth: redact\n        with: redact\n'), ['sluice.yaml:7:9: unknown key `wth` in `mask`'])
})

test('all mistakes are told at once, in the order of the file', () => {
  const found = mistakes(`gateway:
  workers: many
  listen: { web: nowhere, postgres: 1.2.3.4:99999 }
identity:
  issuers:
    - { name: corp, issuer: http://idp.example.com, audience: s }
    - { name: corp, issuer: https://idp.example.com, audience: s, algorithms: [none] }
    - { name: sluice, issuer: https://other.example.com, audience: s, algorithms: [HS256] }
resources:
  - { name: a b, protocol: postgres, address: "db", database: d, credential: { username: u, password: hunter2 } }
  - { name: r, protocol: oracle, address: db:1 }
  - { name: s, protocol: postgres, address: db:1, credential: { password: { vault: x } } }
policies:
  - { name: p, who: {}, on: {}, allow: [read] }
  - { name: q, who: { any: true }, on: {}, allow: ["sql.*"], deny: [{ name: d, when: "statement.nothing" }], review: [{ name: r, rows: -1, reviewers: {} }] }
`)
  assert.deepEqual(found.map(message => Number(message.split(':')[1])), [2, 3, 3, 6, 7, 8, 8, 10, 10, 10, 11, 12, 14, 15, 15, 15, 15], found.join('\n'))
  for (const expected of [/workers/, /web.*host:port/, /http:\/\/ is taken on loopback only/, /unknown key `algorithms`/, /gateway's own/, /a secret is not written here/, /vault are not supported yet/, /names nobody/, /not an operation/, /No such key: nothing/, /at least one group or user/]) {
    assert.ok(found.some(message => expected.test(message)), `${String(expected)} in\n${found.join('\n')}`)
  }
  assert.ok(!found.join('\n').includes('hunter2'), 'no value is repeated')
})

test('two issuers of one name or address, two listeners at one place, a secret without its client are mistakes', () => {
  const issuer = (more: string) => `{ issuer: https://a.example, audience: s, ${more} }`
  assert.match(mistakes(`identity: { issuers: [${issuer('name: a')}, ${issuer('name: b')}] }`).join(), /second issuer with this address/)
  assert.match(mistakes(`identity: { issuers: [${issuer('name: a')}, { name: a, issuer: https://b.example, audience: s }] }`).join(), /second issuer named/)
  assert.match(mistakes(`identity: { issuers: [${issuer('name: a, client_secret: { env: X }')}] }`).join(), /without `client_id`/)
  assert.match(mistakes('gateway: { listen: { web: 1.2.3.4:5, postgres: 1.2.3.4:5 } }').join(), /same address/)
  assert.match(mistakes('gateway: { recordings: s3://bucket/x }').join(), /not supported yet/)
})

test('broken YAML is an error with its place', () => {
  assert.match(mistakes('gateway:\n  data: [\n')[0] ?? '', /^sluice\.yaml:\d+:\d+: /)
  assert.match(mistakes('gateway: {}\ngateway: {}\n')[0] ?? '', /^sluice\.yaml:2:1: .*unique/)
  assert.match(mistakes('- a\n')[0] ?? '', /^sluice\.yaml:1:1: not a map/)
  assert.match(mistakes('a: &a [*a]\n')[0] ?? '', /sluice\.yaml/)
  const bomb = `a: &a [x, x, x, x, x, x, x, x, x]\n${'bcdefgh'.split('').map((key, i) => `${key}: &${key} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(', ')}]`).join('\n')}\n`
  assert.match(mistakes(bomb)[0] ?? '', /aliases/)
})

test('an HTTP resource has one credential, of a kind that a request can carry', () => {
  const one = (credential: string) => () => parseConfig(`resources: [{ name: app, protocol: http, address: "127.0.0.1:1"${credential === '' ? '' : `, credential: ${credential}`} }]`, FILE).resources[0]?.credentials.admin
  assert.deepEqual(one('{ bearer: { env: K } }')(), { username: '', password: { kind: 'env', name: 'K' }, as: { kind: 'bearer' } })
  assert.deepEqual(one('{ basic: { username: u, password: { env: K } } }')(), { username: 'u', password: { kind: 'env', name: 'K' }, as: { kind: 'basic' } })
  assert.deepEqual(one('{ header: { name: X-Key, value: { env: K } } }')(), { username: '', password: { kind: 'env', name: 'K' }, as: { kind: 'header', name: 'X-Key' } })
  assert.deepEqual(one('')(), { username: '', password: { kind: 'none' } })
  assert.throws(one('{ username: u, password: { env: K } }'), /not for protocol http/)
  assert.throws(one('{ bearer: { env: K }, query: { name: k, value: { env: K } } }'), /one of bearer/)
  assert.throws(one('{ mtls: { cert: { file: c }, key: { env: K } } }'), /not for protocol http/)
})

test('an empty file is a gateway on this machine that nobody can use', () => {
  const config = parseConfig('', FILE)
  assert.deepEqual(config.gateway.listen, { web: { host: '127.0.0.1', port: 8443 }, proxy: { host: '127.0.0.1', port: 8444 }, postgres: { host: '127.0.0.1', port: 15432 } })
  assert.match(config.warnings[0]?.message ?? '', /nobody can sign in/)
})

test('TLS is verified in full off loopback and off on it, unless said otherwise', () => {
  const tls = (address: string, more = '') => parseConfig(`resources: [{ name: r, protocol: postgres, address: ${address}, database: d, credential: { username: u }${more} }]`, FILE).resources[0]?.tls
  assert.equal(tls('db.example:5432'), 'verify-full')
  assert.equal(tls('127.0.0.1:5432'), 'disable')
  assert.equal(tls('"[::1]:5432"'), 'disable')
  assert.equal(tls('unix:/run/pg.sock'), 'disable')
  assert.equal(tls('[127.0.0.1:5432, db.example:5432]'), 'verify-full', 'one of several hosts is elsewhere')
  assert.equal(tls('127.0.0.1:5432', ', tls: require'), 'require')
  assert.match(parseConfig(resource('tls: disable'), FILE).warnings.map(one => one.message).join(), /without TLS/)
})

test('a resource may have a credential per class, several hosts, other databases', () => {
  const [one] = parseConfig('resources: [{ name: r, protocol: postgres, address: [a:1, b:2], database: d, databases: [other], credential: { read: { username: ro, password: { file: ro.txt } }, write: { username: rw, password: { store: rw } } } }]', FILE).resources
  assert.deepEqual(one?.credentials, { read: { username: 'ro', password: { kind: 'file', path: '/etc/sluice/ro.txt' } }, write: { username: 'rw', password: { kind: 'store', name: 'rw' } } })
  assert.equal(one?.addresses.length, 2)
  assert.deepEqual(one?.databases, ['other'])
  assert.deepEqual(mistakes('resources: [{ name: r, protocol: postgres, address: a:1, database: d, credential: { read: { username: ro }, wrte: { username: x } } }]'), ['sluice.yaml:1:109: unknown key `wrte` in `credential`'])
})

test('keys that are for another protocol, and two of one name, are mistakes', () => {
  assert.match(mistakes(resource('host_key: { file: x }')).join(), /host_key.*not for protocol postgres/)
  assert.match(mistakes('resources: [{ name: r, protocol: postgres, address: a:1, database: d, credential: { username: u, bearer: { env: X } } }]').join(), /bearer.*not for protocol postgres/)
  assert.match(mistakes('resources: [{ name: r, protocol: postgres, address: a:1, credential: { username: u } }]').join(), /missing `database`/)
  assert.match(mistakes('resources: [{ name: r, protocol: postgres, address: a:1, database: d }]').join(), /missing `credential`/)
  assert.match(mistakes('resources: [{ name: r, protocol: http, address: a:1 }, { name: r, protocol: http, address: a:1 }]').join(), /second resource/)
  assert.match(mistakes('policies: [{ name: p, who: { any: true }, on: {} }, { name: p, who: { any: true }, on: {} }]').join(), /second policy/)
})

test('a config is frozen, and what may be secret in it prints nowhere', () => {
  const config = parseConfig('gateway: { store: "postgres://u:hunter2@db/x" }', FILE)
  assert.throws(() => { (config.gateway as { data: string }).data = 'x' })
  assert.throws(() => { (config.gateway.listen as Record<string, unknown>)['ssh'] = 1 })
  assert.ok(!JSON.stringify(config).includes('hunter2') && !inspect(config, { depth: 9, showHidden: true }).includes('hunter2') && !String(config.gateway.store.kind === 'postgres' && config.gateway.store.url).includes('hunter2'))
  assert.equal(config.gateway.store.kind === 'postgres' && config.gateway.store.url.reveal(), 'postgres://u:hunter2@db/x')
  assert.match(config.warnings.map(one => one.message).join(), /a password stands in the file/)
})

test('the environment stands for data, store and workers', () => {
  const { gateway } = parseConfig('gateway: { data: ./x, workers: auto }', FILE, { SLUICE_DATA: '/var/lib/sluice', SLUICE_STORE: 'postgres://db/x', SLUICE_WORKERS: '3' })
  assert.deepEqual([gateway.data, gateway.store.kind, gateway.workers], ['/var/lib/sluice', 'postgres', 3])
  assert.throws(() => parseConfig('', FILE, { SLUICE_WORKERS: 'many' }), ConfigErrors)
})

test('break-glass accounts hold a hash, never the secret', () => {
  const account = (hash: string) => mistakes(`gateway: { emergency: [{ name: root, password_hash: "${hash}" }] }`)
  const good = `scrypt$${'A'.repeat(22)}$${'B'.repeat(43)}`
  assert.deepEqual(account(good), [])
  for (const hash of ['hunter2', `${good}=`, 'scrypt$$', `sha256$${good}`]) assert.equal(account(hash).length, 1, hash)
  assert.ok(!account('hunter2').join().includes('hunter2'))
  const { emergency } = parseConfig(`gateway: { admins: { groups: [platform] }, emergency: [{ name: a, password_hash: "${good}" }, { name: b, groups: [dba], password_hash: "${good}" }] }`, FILE).gateway
  assert.deepEqual(emergency.map(one => one.groups), [['platform'], ['dba']])
})

test('certificates are read with the config, and one that can\'t be read is an error', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-config-'))
  try {
    writeFileSync(join(folder, 'ca.pem'), '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n')
    writeFileSync(join(folder, 'key.pem'), '-----BEGIN PRIVATE KEY-----\n')
    const file = join(folder, 'sluice.yaml')
    const load = (ca: string) => { writeFileSync(file, resource(`ca: { file: ${ca} }`)); return loadConfig(file, {}) }
    assert.match(load('ca.pem').resources[0]?.ca ?? '', /BEGIN CERTIFICATE/)
    assert.throws(() => load('missing.pem'), /sluice\.yaml:2:\d+: .*can't be read/)
    assert.throws(() => load('key.pem'), /no certificate/)
    assert.throws(() => loadConfig(join(folder, 'other.yaml'), {}), /can't be read \(ENOENT\)/)
  } finally { rmSync(folder, { recursive: true }) }
})

test('findings: names that lead nowhere, rules that can never match, what is not enforced', () => {
  const found = (rules: string, who = '{ any: true }', on = '{}') => {
    const text = `identity: { issuers: [{ name: corp, issuer: https://i.example, audience: s }] }\n${resource('labels: { env: prod }')}policies:\n  - { name: p, who: ${who}, on: ${on}, ${rules} }\n`
    try { return parseConfig(text, FILE).warnings.map(one => `${one.where} ${one.message}`).join('\n') } catch (error) { return error instanceof ConfigErrors ? error.message : '' }
  }
  assert.match(found('allow: [read]', '{ any: true }', '{ resources: [nowhere] }'), /sluice\.yaml:5:5 .*no resource is named `nowhere`/)
  assert.match(found('allow: [read]', '{ issuers: [nobody] }'), /no issuer is named `nobody`/)
  assert.match(found('allow: [read]', '{ any: true }', '{ labels: { env: test } }'), /about no resource/)
  assert.match(found('allow: [read], mask: [{ detect: [us-snn], with: redact }]'), /no detector is named `us-snn`/)
  assert.match(found('allow: [sql.drop.table], deny: [{ name: d, operations: [sql.drop] }]'), /its rule d refuses all of it/)
  assert.match(found('allow: [sql.drop], deny: [{ name: d, operations: [sql.drop] }], review: [{ name: r, operations: [sql.drop.table], reviewers: { groups: [g] } }]'), /can never ask/)
  assert.match(found('allow: [read], budget: [{ rows: 5, per: 1h, then: review }]'), /needs reviewers/)
  assert.match(found('allow: [read], mode: observe'), /only observes/)
  assert.match(found('allow: [read], deny: [{ name: d, rows: 5 }, { name: d, bytes: 5 }]'), /second rule named `d`/)
  assert.equal(found('allow: [read]'), '')
  assert.match(parseConfig('identity: { people: [{ subject: a, groups: [x] }] }\npolicies: [{ name: p, who: { groups: [y] }, on: {}, allow: [read] }]', FILE).warnings.map(one => one.message).join(), /nothing puts anyone in group `y`/)
})

test('policies are read from text and from objects alike, and mistakes in objects are named by path', () => {
  const rule = { name: 'p', who: { any: true }, on: {}, allow: ['read'], mask: [{ fields: ['*.a'], with: 'null' }] }
  assert.deepEqual(parsePolicies([rule]).map(one => [one.name, one.mask[0]?.with]), [['p', 'null']])
  assert.deepEqual(parsePolicies({ policies: [rule] }).length, 1)
  assert.equal(parsePolicies('policies: [{ name: p, who: { any: true }, on: {}, mask: [{ fields: ["*.a"], with: null }] }]')[0]?.mask[0]?.with, 'null')
  assert.throws(() => parsePolicies([{ ...rule, alow: [] }]), /policies\[0\]\.alow: unknown key `alow`/)
  assert.throws(() => parsePolicies('policies: 5', 'x.yaml'), /x\.yaml:1:11: .*array/)
})

test('a resource that comes over the API takes no file or variable of the gateway', () => {
  const body = { name: 'r', protocol: 'postgres', address: 'db:1', database: 'd' }
  const one = parseResource({ ...body, credential: { username: 'u', password: { store: 'r' } } })
  assert.deepEqual([one.origin, one.credentials.admin?.password], ['store', { kind: 'store', name: 'r' }])
  assert.throws(() => parseResource({ ...body, credential: { username: 'u', password: { env: 'SLUICE_KEY' } } }), /from the store/)
  assert.throws(() => parseResource({ ...body, credential: { username: 'u', password: { file: '/etc/shadow' } } }), /from the store/)
  assert.throws(() => parseResource({ ...body, ca: { file: '/etc/shadow' }, credential: { username: 'u' } }), /brings its certificate/)
  assert.throws(() => parseResource({ ...body, extra: 1, credential: { username: 'u' } }), /extra: unknown key/)
  assert.throws(() => parseResource(null), ConfigErrors)
})

test('whatever is done to a file, the answer is a config or a list of mistakes with places', () => {
  const lines = FACE.split('\n')
  const pieces = ['', '  ', '- ', '{', '}', '[', ']', ': ', '"', "'", '&a ', '*a', '!!binary ', '!!set ', '? ', '| ', '\t', '\0', '<<: ', 'null', '~', '1e999', '0x1f', '2020-01-01', '__proto__: 1', 'constructor: {}', 'é\u2028', '---', '#', '%YAML 9.9']
  const change = fc.record({ line: fc.nat(lines.length - 1), column: fc.nat(60), cut: fc.nat(12), piece: fc.constantFrom(...pieces) })
  fc.assert(fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), changes => {
    const text = [...lines]
    for (const { line, column, cut, piece } of changes) { const old = text[line] ?? ''; text[line] = `${old.slice(0, column)}${piece}${old.slice(column + cut)}` }
    try { parseConfig(text.join('\n'), FILE) } catch (error) {
      assert.ok(error instanceof ConfigErrors, String(error))
      assert.ok(error.list.length > 0 && error.list.every(one => /^sluice\.yaml:\d+:\d+$/.test(one.where)), error.message)
    }
  }), { numRuns: 600 })
})

test('whatever body comes as a policy or a resource, the answer is one or a list of mistakes', () => {
  fc.assert(fc.property(fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true }), value => {
    for (const parse of [() => parsePolicies([value]), () => parseResource(value), () => parsePolicies(value as object)]) try { parse() } catch (error) { assert.ok(error instanceof ConfigErrors, String(error)) }
  }), { numRuns: 500 })
})
