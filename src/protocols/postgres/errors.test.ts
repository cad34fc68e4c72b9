import assert from 'node:assert/strict'
import test from 'node:test'
import { compileDetectors } from '../../detect/index.ts'
import { cleanDescription, cleaner, cleanWords, type Strictness } from './errors.ts'
import { message, parseWords } from './messages.ts'

const DETECTOR = compileDetectors(['us-ssn', 'email'].map((detector) => ({ detector, pattern: null, with: 'redact', rule: detector })))!
const clean = cleaner(DETECTOR, () => 'hash')
const H = '[hidden]'
const error = (fields: Record<string, string>) => message('E', ...Object.entries(fields).map(([letter, value]) => letter + value), Buffer.of(0))
const STRICT: Strictness = { known: (field, name) => field === 'table' && name === 'customers' }
function cleaned(fields: Record<string, string>, strict: Strictness | null): Record<string, string> | null {
  const made = cleanWords(error(fields), clean, strict)
  if (made === null) return null
  assert.equal(made.readInt32BE(1), made.length - 1)
  assert.equal(made.at(-1), 0)
  return Object.fromEntries(parseWords(made.subarray(5)))
}

test('a detector finds values in every field that can hold one', () => {
  const value = 'Key (ssn)=(123-45-6789)'
  const fields = Object.fromEntries(['M', 'D', 'H', 'W', 'q', 's', 't', 'c', 'd', 'n'].map((letter) => [letter, value]))
  const after = cleaned({ S: 'ERROR', V: 'ERROR', C: '23505', ...fields, R: 'r' }, null)!
  for (const letter of Object.keys(fields)) assert.equal(after[letter], `Key (ssn)=(${H})`)
  assert.equal(cleaned({ S: 'ERROR', C: '42601', M: 'nothing here' }, null), null)
})

test('on real values: the state stays, all that may carry a value goes', () => {
  const after = cleaned({ S: 'ERROR', V: 'ERROR', C: '23514', M: 'new row for relation "customers" violates check constraint "ck"', D: 'Failing row contains (1, Alice).', W: 'PL/pgSQL function f()', q: 'SELECT 1', H: 'h', t: 'customers', c: 'Alice', n: 'ck', P: '7', F: 'x.c', L: '1', R: 'ExecConstraints' }, STRICT)
  assert.deepEqual(after, { S: 'ERROR', V: 'ERROR', C: '23514', M: 'new row for relation "customers" violates check constraint "ck"', t: 'customers', P: '7' })
  for (const [code, routine, text] of [['22P02', 'pg_strtoint32_safe', 'invalid input syntax for type integer: "Alice"'], ['P0001', 'exec_stmt_raise', 'Alice'], ['23505', 'exec_stmt_raise', 'duplicate key value violates unique constraint "Alice"'],
    ['23505', '_bt_check_unique', 'duplicate key value violates unique constraint "a" Alice'], ['23505', '_bt_check_unique', 'duplicate key value violates unique constraint "a" of "Alice"'], ['22001', 'varchar', 'value too long for type character varying(Alice)'], ['Alice', 'x', 'Alice'], ['42703', 'errorMissingColumn', 'column "Alice" does not exist']]) {
    const words = cleaned({ S: 'ERROR', V: 'ERROR', C: code!, M: text!, R: routine!, ...(code === '42703' ? { W: 'PL/pgSQL function f()' } : {}) }, STRICT)!
    assert.equal(JSON.stringify(words).includes('Alice'), false, text)
    if (code !== 'Alice') assert.equal(words.C, code)
  }
  assert.equal(cleaned({ S: 'ERROR', V: 'ERROR', C: '42703', M: 'column "nmae" does not exist', P: '8', R: 'errorMissingColumn' }, STRICT)!.M, 'column "nmae" does not exist')
  assert.equal(cleaned({ S: '123-45-6789', V: 'Alice', C: '22012', M: 'division by zero', R: 'int4div' }, STRICT)!.M, 'division by zero')
})

test('malformed errors are refused, wherever they are cut', () => {
  const whole = error({ S: 'ERROR', C: '22012', M: 'x 123-45-6789' })
  for (let cut = 6; cut < whole.length; cut++) assert.throws(() => cleanWords(whole.subarray(0, cut), clean, null), /malformed/)
  assert.throws(() => cleanWords(Buffer.concat([whole, Buffer.from('x')]), clean, null), /malformed/)
})

test('column names are cleaned, their types and origins stay', () => {
  const column = (name: string) => Buffer.concat([Buffer.from(`${name}\0`), Buffer.alloc(18, 7)])
  const rows = (...names: string[]) => message('T', Buffer.from([0, names.length]), ...names.map(column))
  assert.equal(cleanDescription(rows('id', 'ssn'), clean), null)
  assert.deepEqual(cleanDescription(rows('id', '123-45-6789', 'x', 'a@b.co'), clean), rows('id', H, 'x', H))
})
