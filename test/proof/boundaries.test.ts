// Where statements begin and end, and what is none: generated texts, cut and mutated, are parsed here and by real servers. The server parses
// them without running anything: a Parse of several statements is an error of its own.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse as read, ready } from '../../src/sql/grammar.ts'
import { fields, parse, sync } from '../postgres/client.ts'
import { type Random, random } from '../postgres/conversations.ts'
import { openBare } from '../postgres/session.ts'
import { startPostgres } from '../servers/postgres.ts'

const SEED = Number(process.env.SLUICE_SEED ?? 1)
const TEXTS = Number(process.env.SLUICE_STATEMENTS ?? 20_000)
const BATCH = 200
const WORDS = ['SELECT', 'FROM', 'WHERE', 'a', '"b;c"', "'d;e'", "E'f\\'g;'", "U&'\\0061;'", '$$h;i$$', '$x$j$$;k$x$', '$1', '1', '1.5e3', '0x1F', '1_000', "b'01'", "x'1f'", '--l;\n', '/* m; /* n */ ; */', ';', ';;', ',', '(', ')', '*', '+', '-', '/', '||', '::', 'int', ':=', '=>', '[1]', '{', '}', '\\', '@', '#', '~', '?', '!', '<=', '<>', "'o''p'", '"q""r"', 'é', '🦀', '\t', '\r\n', '\f', '\v', '\u00a0', "N's'", "'t'\n'u'", "'t' 'u'", 'UESCAPE', "U&\"\\0061\"", 'BEGIN', 'COMMIT', 'END', 'ATOMIC', 'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END', 'DO', 'PREPARE p AS SELECT 1', 'EXECUTE p', 'COPY t FROM stdin', 'VALUES (1)', 'TABLE t', 'INSERT INTO t VALUES (1)', 'AS', 'NULL', 'NOT', 'CASE WHEN 1 THEN 2 END', 'LIMIT 1', 'UNION', '1a', '1 a', '$a$', '$a$ $b$ $a$', "e'\\x41'", "E'\\u0041'", "'\\'", "E'\\", '/*', '*/', '--', "'", '"', '$$']
const STATEMENTS = ['SELECT 1', "SELECT 'a;b'", 'SELECT $$c;d$$', 'SELECT 1 AS "e;f"', "SELECT E'\\';'", 'SELECT /* ; */ 2', 'SELECT 3 -- ;\n', 'BEGIN', 'COMMIT', 'VALUES (1), (2)', 'TABLE pg_class', "SELECT U&'\\0041'", "SELECT 'x' 'y'", "SELECT 'x'\n'y'", 'CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END', "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)", "DO $$ BEGIN NULL; END $$", 'SELECT ARRAY[1,2][1]', "SELECT 1::int", 'SELECT a.* FROM a', '']

function textOf(r: Random): string {
  const pick = (from: readonly string[]) => from[r(from.length)]!
  let text = r(3) === 0 ? Array.from({ length: 1 + r(8) }, () => pick(WORDS)).join(pick([' ', '', '\n'])) : Array.from({ length: 1 + r(3) }, () => pick(STATEMENTS)).join(pick([';', '; ', ' ;\n', ' ']))
  for (let cuts = r(3); cuts > 0; cuts--) {
    const at = r(text.length + 1)
    text = r(2) === 0 ? text.slice(0, at) + pick(WORDS) + text.slice(at) : text.slice(0, at) + text.slice(at + 1 + r(3))
  }
  // A text ends at a zero byte; half a character is no text.
  return text.replaceAll('\0', '').replaceAll(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '')
}

test(`statements are counted as the server counts them (seed ${SEED})`, { timeout: 3_600_000 }, async () => {
  await ready()
  const server = await startPostgres({ version: 18 })
  const apart: string[] = []
  const counts: Record<string, number> = {}
  try {
    const bare = await openBare(server)
    for (let number = 0; number < TEXTS && apart.length < 10; number += BATCH) {
      const texts = Array.from({ length: BATCH }, (_, i) => textOf(random(SEED * 1_000_003 + number + i)))
      bare.seen.length = 0
      bare.send(...texts.flatMap((text) => [parse(text), sync()]))
      await bare.ready(BATCH, 60_000)
      const answers = bare.seen.filter((message) => message.type === '1' || message.type === 'E')
      assert.equal(answers.length, BATCH)
      for (const [i, text] of texts.entries()) {
        const { M = '', C = '' } = answers[i]!.type === 'E' ? fields(answers[i]!) : {}
        const theirs = M.startsWith('cannot insert multiple commands') ? 'several' : /^(42601|42P1[0-9]|22025|22P06)$/.test(C) && /^(syntax error|unterminated|invalid Unicode|zero-length|trailing junk|invalid Unicode|UESCAPE|parameter number|unsafe use|invalid \w+ integer)/.test(M) ? 'syntax' : 'one'
        const tree = await read(text)
        const ours = tree.kind === 'tree' ? tree.statements.length > 1 ? 'several' : 'one' : tree.kind
        counts[theirs] = (counts[theirs] ?? 0) + 1
        // The grammar's library takes no comment between the parts of a continued string: a syntax error here, and nothing is sent.
        if (ours === 'syntax' && /'\s*--/.test(text)) continue
        // Refused is always right; an error of the grammar's actions may come here or in the analysis.
        if (ours !== theirs && ours !== 'refused' && !(ours === 'syntax' && answers[i]!.type === 'E' && theirs === 'one')) apart.push(`${JSON.stringify(text)}: ours ${ours}, theirs ${theirs} ${C} ${M}`)
      }
    }
    bare.stream.destroy()
  } finally { await server.stop() }
  console.log(JSON.stringify({ test: 'boundaries', seed: SEED, texts: TEXTS, ...counts, apart: apart.length }))
  assert.deepEqual(apart, [])
  assert.ok((counts.several ?? 0) > TEXTS / 20 && (counts.one ?? 0) > TEXTS / 20)
})
