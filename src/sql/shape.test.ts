import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ready, tokens } from './grammar.ts'
import { INTEGER, LARGE, NUMERIC, TEXT } from './lexer.ts'
import { shapeOf } from './shape.ts'

await ready()
const shape = (text: string) => { const bytes = Buffer.from(text); return shapeOf(bytes, 0, bytes.length) }
const corpus = readFileSync(new URL('../../test/corpus/pg.jsonl', import.meta.url), 'utf8').trim().split('\n')
  .flatMap((line) => { const one = JSON.parse(line) as { sql: string[]; steps?: { sql?: string }[] }; return [...one.sql, ...(one.steps ?? []).map(({ sql }) => sql ?? '')] })
  .filter((text) => typeof text === 'string' && text !== '' && text.isWellFormed())

/** Literals as the grammar's own scanner finds them: start, end, kind. */
function scanned(text: string): number[] | null {
  const found = tokens(text)
  if (found === null) return null
  return found.flatMap((token) => {
    if (token.tokenName === 'SCONST') return [token.start, token.end, TEXT]
    if (token.tokenName === 'ICONST') return [token.start, token.end, INTEGER]
    if (token.tokenName === 'FCONST') return [token.start, token.end, /^0*\d{10,18}$/.test(token.text) ? LARGE : NUMERIC]
    return []
  })
}
function agrees(text: string): void {
  const mine = shape(text)
  if (mine === null) return
  const theirs = scanned(text)
  // What the scanner refuses, the server refuses: no harm in a shape, and none was cached for it.
  if (theirs !== null) assert.deepEqual(mine.literals, theirs, JSON.stringify(text))
}

test('literals are where the grammar\'s scanner finds them, over the corpus', () => {
  let shaped = 0
  for (const text of corpus) { agrees(text); if (shape(text) !== null) shaped++ }
  assert.ok(shaped > corpus.length * 0.6, `${shaped} of ${corpus.length} have a shape`)
})

test('literals are where the scanner finds them, over texts made of awkward pieces', () => {
  const pieces = ['a', 'e', 'E', 'b', 'x', 'n', 'N', 'u', 'U&', 'é', '_', '$', '$1', '$$', '$a$', '1', '0', '9', '12', '2147483647', '2147483648', '9223372036854775808', '.', '..', '1.5', '.5', '1e', '1e5', '1e+', '1_0', '0x1F', '\'', '\'\'', '\'a\'', '\'\\\'', '"', '"a"', '""',
    '\\', '-', '--', '/', '*', '/*', '*/', '/*/', '+', '<', '>', '=', '!', '@', '#', '%', '^', '&', '|', '~', '`', '?', ';', ',', '(', ')', '[', ']', ':', '::', ':=', '{', '}', ' ', '\n', '\r', '\t', '\f', '\v', '\x01', '🦀', 'SELECT ', ' WHERE ', 'date']
  let seed = 12345
  const random = (below: number) => { seed = (Math.imul(seed, 1103515245) + 12345) >>> 0; return Math.floor(seed / 4294967296 * below) }
  let compared = 0
  for (let round = 0; round < 30000; round++) {
    let text = ''
    for (let count = 1 + random(8); count > 0; count--) text += pieces[random(pieces.length)]
    if (shape(text) !== null && tokens(text) !== null) compared++
    agrees(text)
  }
  assert.ok(compared > 3000, `${compared} compared`)
})

test('texts that differ in literals alone have one shape, and kinds tell them apart', () => {
  const one = (text: string) => shape(text)?.key ?? null
  assert.equal(one('SELECT a FROM t WHERE id = 1'), one('SELECT a FROM t WHERE id = 2147483647'))
  assert.equal(one(`INSERT INTO t VALUES ('a', 1.5)`), one(`INSERT INTO t VALUES ('it''s', 2e9)`))
  assert.notEqual(one('SELECT a FROM t WHERE id = 1'), one(`SELECT a FROM t WHERE id = '1'`))
  assert.notEqual(one('SELECT 1'), one('SELECT 2147483648'))
  assert.notEqual(one('SELECT 2147483648'), one('SELECT 1.0'))
  assert.notEqual(one('SELECT $1'), one('SELECT $2'))
  assert.notEqual(one('SELECT 1'), one('SELECT -1'))
})

test('what the lexer is not sure of has no shape', () => {
  for (const text of [`SELECT E'a'`, `SELECT U&'a'`, `SELECT U&"a"`, `SELECT x'1f'`, `SELECT b'1'`, `SELECT n'a'`, 'SELECT $$a$$', 'SELECT $a$b$a$', `SELECT 'a\\'`, `SELECT 'a'\n'b'`, `SELECT 'a' 'b'`, `SELECT 'open`, 'SELECT "open', 'SELECT /* open',
    'SELECT 1a', 'SELECT 1_000', 'SELECT 0x1F', 'SELECT 1..2', 'SELECT 1e', 'SELECT a\u000bb', 'SELECT `a`', 'SELECT $1a', 'SELECT ""']) assert.equal(shape(text), null, text)
  assert.equal(shapeOf(Buffer.from([0x53, 0x27, 0xff, 0x27]), 0, 4), null)
  assert.equal(shapeOf(Buffer.from('SELECT 1\0'), 0, 9), null)
  assert.equal(shape(`SELECT '${'a'.repeat(5000)}'`), null)
})

test('comments nest, stay in the key, and hide nothing', () => {
  assert.deepEqual(shape('SELECT /* a /* \'x\' */ 1 */ 2')?.literals, [27, 28, INTEGER])
  assert.deepEqual(shape('SELECT 1 -- \' 2\n, 3')?.literals, [7, 8, INTEGER, 18, 19, INTEGER])
  assert.notEqual(shape('SELECT /*a*/ 1')?.key, shape('SELECT /*b*/ 1')?.key)
})
