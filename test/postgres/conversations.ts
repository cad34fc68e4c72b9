// Random legal conversations: what a client may send, as steps that mean something together. The same seed gives the same bytes.
import * as m from './client.ts'

export interface Step { readonly name: string; readonly bytes: Buffer }
export type Random = (below: number) => number
export function random(seed: number): Random {
  let state = seed | 0
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * below)
  }
}
export const SCHEMA = `
CREATE TABLE t(id int PRIMARY KEY, name text, amount numeric(10,2) DEFAULT 1, made date DEFAULT '2024-01-01');
INSERT INTO t SELECT g, 'name ' || g, g * 1.5 FROM generate_series(1, 60) g;
CREATE TABLE later(id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);
INSERT INTO later VALUES (1);
CREATE SCHEMA other; CREATE TABLE other.t(id int, name text); INSERT INTO other.t VALUES (1, 'other');`

const SINGLE = [
  'SELECT 1', 'SELECT * FROM t ORDER BY id LIMIT 7', 'SELECT id, name FROM t WHERE id = 3', 'SELECT g FROM generate_series(1, 20) g', '', '-- only a comment', 'SELECT 1 WHERE false', 'SHOW server_encoding',
  "UPDATE t SET name = name || 'x' WHERE id = 5", 'INSERT INTO t(id, name) VALUES (5, \'twice\')', "INSERT INTO t(id, name) SELECT max(id) + 1, 'more' FROM t RETURNING id, name", 'DELETE FROM t WHERE id = 7', 'INSERT INTO later VALUES (1)',
  'SELECT 1/0', 'SELECT id, 10 / (id - 4) FROM t WHERE id < 9 ORDER BY id', 'SELECT nothing FROM t', 'SELECT * FROM missing', 'SELEC 1', 'SELECT \'open', "SELECT 'a'::int", 'EXPLAIN (COSTS OFF) SELECT * FROM t', 'VALUES (1, NULL), (2, \'b\')',
  "DO $$ BEGIN RAISE NOTICE 'a notice'; END $$", "DO $$ BEGIN RAISE EXCEPTION 'raised' USING ERRCODE = '22012'; END $$", 'SET work_mem = \'8MB\'', 'SELECT name FROM t WHERE id = 2 FOR UPDATE', "SELECT repeat('long ', 3000)",
]
const CONTROL = ['BEGIN', 'COMMIT', 'ROLLBACK', 'SAVEPOINT a', 'ROLLBACK TO a', 'RELEASE a', 'SAVEPOINT b', 'ROLLBACK TO b', 'BEGIN ISOLATION LEVEL SERIALIZABLE', 'COMMIT AND CHAIN', 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ']
const NAMES = [
  'PREPARE p AS SELECT id FROM t WHERE id < 4 ORDER BY id', 'PREPARE q(int) AS SELECT $1 + 1', 'EXECUTE p', 'EXECUTE q(4)', 'DEALLOCATE p', 'DEALLOCATE q', 'DEALLOCATE ALL', 'DECLARE c CURSOR FOR SELECT id, name FROM t ORDER BY id', 'FETCH 3 FROM c', 'FETCH ALL FROM c', 'MOVE 2 IN c', 'CLOSE c',
  'DECLARE h CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY id', 'FETCH 2 FROM h', 'CLOSE h', 'CLOSE ALL', 'DEALLOCATE s1',
]
const SEVERAL = ['SELECT 1; SELECT 2', 'SELECT 1; SELECT 1/0; SELECT 2', 'BEGIN; SELECT 1', 'BEGIN; INSERT INTO t(id) VALUES (900); SELECT 1/0; COMMIT', 'INSERT INTO t(id) VALUES (901); SELECT 1/0', ';;SELECT 3;;', 'COMMIT; SHOW server_encoding', 'ROLLBACK; SHOW server_encoding', 'SAVEPOINT a; SELECT 1/0; ROLLBACK TO a']
/** These change what names mean: a Sync must follow before another text. */
const MOVES = ['SET search_path = other, public', 'SET search_path = public', 'RESET search_path', 'CREATE TEMP TABLE tmp(id int, v text)', 'DROP TABLE tmp', 'CREATE TABLE made(id int, v text)', 'DROP TABLE made', 'ALTER TABLE made ADD COLUMN w int', 'DISCARD ALL', 'SET LOCAL search_path = other', 'DISCARD TEMP', 'RESET ALL', 'SET ROLE gwsuper', 'RESET ROLE']
const MOVED = ['SELECT * FROM tmp', 'INSERT INTO tmp VALUES (1, \'v\')', 'SELECT * FROM made', 'INSERT INTO made VALUES (1, \'v\') RETURNING *', 'SELECT count(*) FROM t', 'SELECT name FROM t WHERE id = 1', 'SELECT current_schemas(false)']
const EXTENDED = ['SELECT id, name FROM t WHERE id > $1 ORDER BY id', 'SELECT $1::text', 'UPDATE t SET name = $1 WHERE id = 9', 'SELECT 10 / $1::int', 'INSERT INTO t(id) VALUES ($1::int)', 'SELECT g, $1::int FROM generate_series(1, 9) g']
const STATEMENTS = ['', '', 's1', 's2'], PORTALS = ['', '', 'p1', 'p2']
const ROWS = ['70001\tcopied\t2.50\t2024-05-05\n', '70002\t\\N\t\\N\t\\N\n', '5\ttwice\t1\t2024-01-01\n', 'bad\tline\n']

export function steps(r: Random, count: number): Step[] {
  const found: Step[] = []
  const add = (name: string, ...bytes: readonly Buffer[]) => { found.push({ name, bytes: Buffer.concat(bytes) }) }
  const pick = (from: readonly string[]): string => from[r(from.length)]!
  const any = (): string => pick(r(3) === 0 ? CONTROL : r(3) === 0 ? NAMES : r(4) === 0 ? MOVED : SINGLE)
  const copyIn = (): Buffer[] => {
    const rows = Array.from({ length: r(4) }, () => m.copyData(pick(ROWS)))
    return [...rows, r(5) === 0 ? m.copyFail() : m.copyDone()]
  }
  while (found.length < count) {
    switch (r(22)) {
      case 0: case 1: case 2: case 3: { const text = any(); add(`Q ${text}`, m.query(text)); break }
      case 4: { const text = pick(SEVERAL); add(`Q ${text}`, m.query(text)); break }
      case 5: { const text = pick(MOVES); add(`S Q ${text}`, m.sync(), m.query(text)); break }
      case 6: add('Q COPY t TO STDOUT', m.query(r(2) === 0 ? 'COPY t TO STDOUT' : 'COPY (SELECT id, name FROM t ORDER BY id LIMIT 5) TO STDOUT (FORMAT csv, HEADER)')); break
      case 7: { const copy = copyIn(); add(`Q COPY t FROM STDIN ${copy.length}`, m.query('COPY t FROM STDIN'), ...copy); break }
      case 8: { const copy = copyIn(); add(`P B E COPY t FROM STDIN ${copy.length} S`, m.parse('COPY t FROM STDIN'), m.bind(), m.execute(), ...copy, m.sync()); break }
      case 9: { const text = pick(MOVES); add(`S P B E ${text} S`, m.sync(), m.parse(text), m.bind(), m.execute(), m.sync()); break }
      case 10: case 11: { const name = pick(STATEMENTS), text = pick(EXTENDED); add(`P ${name}: ${text}`, m.parse(text, name, r(3) === 0 ? [25] : [])); break }
      case 12: { const name = pick(STATEMENTS), text = any(); if (text.startsWith('EXECUTE')) break; add(`P ${name}: ${text}`, m.parse(text, name)); break }
      case 13: case 14: { const portal = pick(PORTALS), statement = pick(STATEMENTS), value = pick(['1', '0', '3', '55', 'abc']); const formats = pick(['', '0', '1']); add(`B ${portal}<-${statement} ${value} [${formats}]`, m.bind({ portal, statement, values: r(4) === 0 ? [] : [value], formats: formats === '' ? [] : [Number(formats)] })); break }
      case 15: case 16: { const portal = pick(PORTALS), rows = pick(['0', '0', '1', '2', '5']); add(`E ${portal} ${rows}`, m.execute(portal, Number(rows))); break }
      case 17: { const kind = r(2) === 0 ? 'S' : 'P', name = pick(kind === 'S' ? STATEMENTS : ['p1', 'p2']); add(`D ${kind} ${name}`, m.describe(kind, name)); break }
      case 18: { const kind = r(2) === 0 ? 'S' : 'P', name = pick(kind === 'S' ? STATEMENTS : PORTALS); add(`C ${kind} ${name}`, m.close(kind, name)); break }
      case 19: case 20: add('S', m.sync()); break
      default: add('H', m.flush())
    }
  }
  return found
}
/** Back to a session like new; the marker's answer is the last. */
export function ending(marker: string): Step[] {
  return ['ROLLBACK', 'CLOSE ALL', 'DISCARD ALL', 'DROP TABLE IF EXISTS made', `SELECT '${marker}'`].map((text, i) => ({ name: text, bytes: i === 0 ? Buffer.concat([m.sync(), m.query(text)]) : m.query(text) }))
}
/** Cuts bytes into segments: all in one, of one size, or at random. */
export function segments(bytes: Buffer, r: Random): Buffer[] {
  const mode = r(5)
  const found: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const size = mode === 0 ? bytes.length : mode === 1 ? 7 : mode === 2 ? 1460 : 1 + r(mode === 3 ? 60 : 600)
    found.push(bytes.subarray(at, at + size))
    at += size
  }
  return found
}
