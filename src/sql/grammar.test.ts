import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse, parseShort, ready, tokens } from './grammar.ts'
import { as, firstUnknown, kindOf } from './walk.ts'

await ready()
const kind = async (text: string, bytesMax?: number) => (await parse(text, bytesMax)).kind

test('empty texts, blanks and comments are no statements', async () => {
  for (const text of ['', ' ', '\n', ';', ';;', '-- only', '/* a /* b */ c */']) {
    const tree = await parse(text)
    assert.equal(tree.kind === 'tree' ? tree.statements.length : -1, 0, JSON.stringify(text))
  }
})

test('statements are cut in UTF-8 bytes', async () => {
  const tree = await parse(`SELECT 'é🦀'; SELECT 2`)
  assert.ok(tree.kind === 'tree')
  assert.deepEqual(tree.statements.map(({ start, length }) => [start, length]), [[0, 15], [17, 8]])
})

test('NUL and broken UTF-16 are refused, and never reach the parser cut short', async () => {
  assert.equal(await kind('SELECT 1\0; DROP TABLE x'), 'refused')
  assert.equal(await kind('\0'), 'refused')
  assert.equal(await kind('SELECT \'\ud800\''), 'refused')
  assert.equal(parseShort('SELECT 1\0'), null)
  assert.equal(tokens('a\0b'), null)
})

test('a syntax error counts its place in characters', async () => {
  assert.deepEqual(await parse(`SELECT 'é🦀' SELEKT x`), { kind: 'syntax', message: 'syntax error at or near "x"', code: '42601', position: 20 })
  assert.deepEqual(await parse('SELEKT'), { kind: 'syntax', message: 'syntax error at or near "SELEKT"', code: '42601', position: 1 })
})

const BOMBS: Readonly<Record<string, string>> = {
  sum: `SELECT ${'1+'.repeat(8000)}1`, parentheses: `SELECT ${'('.repeat(8000)}1${')'.repeat(8000)}`, unions: `SELECT 1${' UNION SELECT 1'.repeat(1000)}`, longUnions: `SELECT 1${' UNION SELECT 1'.repeat(10000)}`, minus: `SELECT ${'- '.repeat(8000)}1`,
  subqueries: `${'SELECT ('.repeat(1500)}SELECT 1${')'.repeat(1500)}`, not: `SELECT ${'NOT '.repeat(4000)}true`, arrays: `SELECT ${'ARRAY['.repeat(2500)}1${']'.repeat(2500)}`, casts: `SELECT 1${'::int'.repeat(3000)}`, cases: `SELECT ${'CASE WHEN true THEN '.repeat(600)}1${' END'.repeat(600)}`,
  joins: `SELECT 1 FROM a${' JOIN a ON true'.repeat(1100)}`, ctes: `${'WITH a AS ('.repeat(1000)}SELECT 1${') SELECT 1'.repeat(1000)}`, indirections: `SELECT a${'.a'.repeat(8000)}`,
}
for (const [name, text] of Object.entries(BOMBS)) {
  test(`the bomb of ${name} ends in an answer, and the next text is read`, async () => {
    const outcome = await parse(text)
    if (outcome.kind === 'tree') for (const { node } of outcome.statements) assert.equal(firstUnknown(node), null)
    assert.equal(await kind('SELECT 1'), 'tree')
  })
}

test('a hundred long bombs do not stop long texts from being read', async () => {
  const long = `INSERT INTO x VALUES (1)${',(1)'.repeat(20000)}`
  for (let i = 0; i < 3; i++) assert.equal(await kind(`SELECT 1${' UNION SELECT 1'.repeat(20000)}`), 'refused')
  assert.equal(await kind(long), 'tree')
  const both = await Promise.all([kind(long), kind(`SELECT ${'('.repeat(200000)}`), kind(long)])
  assert.deepEqual(both, ['tree', 'refused', 'tree'])
})

test('a text over the limit is refused', async () => { assert.equal(await kind('SELECT 1, 2', 10), 'refused') })

test('what the layout doesn\'t know is found', async () => {
  const tree = await parse('SELECT a FROM b')
  assert.ok(tree.kind === 'tree')
  const node = tree.statements[0]!.node
  assert.equal(kindOf(node), 'SelectStmt')
  assert.equal(firstUnknown(node), null)
  Object.assign(as('SelectStmt', node)!, { surprise: { x: 1 } })
  assert.equal(firstUnknown(node), 'SelectStmt.surprise')
  assert.equal(firstUnknown({ NewStmt: {} } as never), 'statement.')
})
