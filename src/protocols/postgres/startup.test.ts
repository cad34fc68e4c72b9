import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SluiceError } from '../../core/errors.ts'
import { parseOptions, readParameters } from './parameters.ts'
import { parsePassword, parseStartup, STARTUP_BYTES_MAX } from './startup.ts'

// A second writer of the bytes: nothing of the code under test.
const u32 = (value: number) => { const bytes = Buffer.alloc(4); bytes.writeUInt32BE(value >>> 0); return bytes }
const packet = (code: number, body: Buffer | string = '') => { const bytes = Buffer.from(body as string, 'latin1'); return Buffer.concat([u32(8 + bytes.length), u32(code), bytes]) }
const START = packet(0x30000, 'user\0ana\0database\0orders/other\0application_name\0psql\0\0')
const samples = [START, packet(0x30002, 'user\0a\0\0'), packet(80877103), packet(80877104), packet(80877102, '\0\0\0\x07abcd'), packet(80877102, `\0\0\0\x07${'s'.repeat(32)}`)]

test('a packet is whole at its last byte and at none before, whatever follows', () => {
  for (const sample of samples) {
    for (let cut = 0; cut < sample.length; cut++) assert.equal(parseStartup(sample.subarray(0, cut)), null)
    const whole = parseStartup(sample)
    assert.equal(whole?.length, sample.length)
    assert.deepEqual(parseStartup(Buffer.concat([sample, Buffer.from('more')])), whole)
  }
})
test('start-up packets of 3.0, 3.2 and versions to come are read, and what is negotiated is said', () => {
  const of = (code: number, body = 'user\0a\0\0') => parseStartup(packet(code, body))!.packet
  assert.deepEqual(of(0x30000), { kind: 'startup', minor: 0, negotiate: false, unknownOptions: [], parameters: [['user', 'a']] })
  assert.deepEqual(of(0x30002), { kind: 'startup', minor: 2, negotiate: false, unknownOptions: [], parameters: [['user', 'a']] })
  assert.deepEqual(of(0x30000 + 9999), { kind: 'startup', minor: 2, negotiate: true, unknownOptions: [], parameters: [['user', 'a']] })
  assert.deepEqual(of(0x30000, 'user\0a\0_pq_.x\0on\0\0'), { kind: 'startup', minor: 0, negotiate: true, unknownOptions: ['_pq_.x'], parameters: [['user', 'a']] })
  assert.deepEqual(of(0x20000), { kind: 'unsupported', version: '2.0' })
  assert.deepEqual(of(0x40000), { kind: 'unsupported', version: '4.0' })
})
test('cancel keys of both lengths come out whole', () => {
  for (const secret of ['abcd', 's'.repeat(32)]) {
    const found = parseStartup(packet(80877102, `\xff\xff\xff\xff${secret}`))!.packet
    assert.ok(found.kind === 'cancel')
    assert.deepEqual([found.key.pid, found.key.secret.toString()], [-1, secret])
  }
})
test('a length that can\'t be right is refused at its fourth byte', () => {
  for (const length of [0, 4, 7, STARTUP_BYTES_MAX + 1, 0x7fffffff, 0xffffffff]) assert.throws(() => parseStartup(u32(length)), /length/)
  assert.throws(() => parseStartup(packet(80877103, 'x')), /encryption/)
  assert.throws(() => parseStartup(packet(80877102, '\0\0\0\x07abc')), /cancel/)
  assert.throws(() => parseStartup(packet(80877102, 'x'.repeat(300))), /cancel/)
})
test('a start-up packet that is laid out otherwise is refused', () => {
  for (const body of ['', 'user', 'user\0a', 'user\0a\0', 'user\0\0', 'user\0a\0\0\0', 'user\0a\0\0x', '\0\0', 'user\0a\0user\0b\0\0', 'user\0a\0USER\0b\0\0', 'user\0\xff\0\0']) assert.throws(() => parseStartup(packet(0x30000, body)), SluiceError, JSON.stringify(body))
})
test('a password is whole at its last byte; other messages and lengths are refused at once', () => {
  const whole = Buffer.concat([Buffer.from('p'), u32(4 + 7), Buffer.from('secret\0')])
  for (let cut = 0; cut < whole.length; cut++) assert.equal(parsePassword(whole.subarray(0, cut)), null)
  assert.deepEqual(parsePassword(Buffer.concat([whole, Buffer.from('Q')])), { secret: 'secret', length: whole.length })
  assert.throws(() => parsePassword(Buffer.from('Q')), /password/)
  for (const length of [0, 4, 70_000, 0xffffffff]) assert.throws(() => parsePassword(Buffer.concat([Buffer.from('p'), u32(length)])), /size/)
  for (const body of ['a\0b\0', 'ab', '\0\0']) assert.throws(() => parsePassword(Buffer.concat([Buffer.from('p'), u32(4 + body.length), Buffer.from(body)])), /one string/)
})
test('no bytes make a parser do anything but answer, wait or refuse', () => {
  const sane = (parse: (bytes: Buffer) => { length: number; packet?: { kind: string } } | null, bytes: Buffer) => {
    try {
      const found = parse(bytes)
      assert.ok(found === null || (found.length > 0 && (found.length <= bytes.length || found.packet?.kind === 'unsupported')))
      if (found === null) assert.ok(bytes.length < 70_000)
    } catch (error) { assert.ok(error instanceof SluiceError, String(error)) }
  }
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.tuple(fc.constantFrom(...samples), fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 })).map(([sample, changes]) => { const copy = Buffer.from(sample); for (const [at, value] of changes) if (at < copy.length) copy[at] = value; return copy }),
    fc.array(fc.string({ maxLength: 8 }), { maxLength: 9 }).map((words) => packet(0x30000, `${words.join('\0')}\0`)),
  )
  fc.assert(fc.property(bytes, (input) => {
    const buffer = Buffer.from(input)
    sane(parseStartup, buffer)
    sane(parsePassword, buffer)
    try { const found = parseStartup(buffer)?.packet; if (found?.kind === 'startup') readParameters(found.parameters) } catch (error) { assert.ok(error instanceof SluiceError, String(error)) }
  }), { numRuns: 5_000 })
})

const wishes = (parameters: Record<string, string>) => readParameters(Object.entries({ user: 'ana', database: 'orders', ...parameters }))
test('the database names the resource, and after a slash another database of it', () => {
  assert.deepEqual([wishes({}).resource, wishes({}).database, wishes({}).user], ['orders', null, 'ana'])
  assert.deepEqual([wishes({ database: 'orders/Other db' }).resource, wishes({ database: 'orders/Other db' }).database], ['orders', 'Other db'])
  assert.equal(readParameters([['user', 'orders']]).resource, 'orders')
  for (const database of ['/', '/x', 'orders/', '../x', 'a b', 'é', 'x'.repeat(64), `orders/${'x'.repeat(300)}`]) assert.throws(() => wishes({ database }), SluiceError)
  assert.throws(() => readParameters([['database', 'orders']]), /no user name/)
})
test('harmless settings pass under one name each, alone or in options, and what stands alone wins', () => {
  const found = wishes({ DateStyle: 'ISO', options: '-c datestyle=German -cextra-float-digits=2 --statement_timeout=5s -c search_path=app\\ one,public', TimeZone: 'UTC', replication: 'off' })
  assert.deepEqual([...found.settings], [['client_encoding', 'UTF8'], ['datestyle', 'ISO'], ['extra_float_digits', '2'], ['statement_timeout', '5s'], ['search_path', 'app one,public'], ['timezone', 'UTC']])
  for (const client_encoding of ['utf8', 'UTF-8', "'utf-8'", 'UNICODE', 'SQL_ASCII']) assert.equal(wishes({ client_encoding }).settings.get('client_encoding'), 'UTF8')
})
test('every other setting is refused, however it is written', () => {
  for (const [name, value] of Object.entries({
    role: 'dba', Role: 'dba', session_authorization: 'dba', session_preload_libraries: 'x', local_preload_libraries: 'x', replication: 'true', is_superuser: 'on', client_encoding: 'SJIS', standard_conforming_strings: 'off', 'sluice.x': '1', x: 'y', '': 'x',
    Database: 'x', Options: '-c role=x', backslash_quote: 'on', default_transaction_use_it: '1',
  })) assert.throws(() => wishes({ [name]: value }), SluiceError, name)
  assert.throws(() => wishes({ replication: 'database' }), /replication/)
  for (const options of ['-c role=dba', '-crole=dba', '--role=dba', '-c ROLE=dba', '-c  role=dba', '-c\trole=dba', '-c datestyle=ISO -c role=x', '-c ro\\le=x', '--session-preload-libraries=x', '-d 5', '-S 1', '-c', '-c role', 'role=dba', '-c =x', '--', '-r x', '-c datestyle=ISO x', '-creplication=on', '-c user=x', '-C datestyle=x', '-W 5']) assert.throws(() => wishes({ options }), SluiceError, options)
})
test('options are split as the server does: blanks part, a backslash keeps', () => {
  assert.deepEqual(parseOptions('  -c a=b\\ c\\\\d\t--e-f=  '), [['a', 'b c\\d'], ['e_f', '']])
  assert.deepEqual(parseOptions(''), [])
})
