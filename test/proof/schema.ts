// Two databases that differ in masked non-null values alone: the same tables under the same object ids, the same rows in the same places.
// What a client may learn is then what both tell alike.

export type Type = 'text' | 'int' | 'numeric' | 'bool' | 'date' | 'stamp' | 'json' | 'texts' | 'uuid' | 'bytea'
export interface Column { readonly name: string; readonly type: Type; readonly masked: boolean }
export interface Table { readonly name: string; readonly columns: readonly Column[]; /** Written to by generated statements too. */ readonly writable: boolean; readonly masked: boolean; /** A view that may be refused. */ readonly view?: boolean }

/** Column by column: `name:type`, with `!` where masked. */
function table(name: string, columns: string, extra: { writable?: boolean; view?: boolean; masked?: boolean } = {}): Table {
  const made = columns.split(' ').map((each) => { const [, column, type, mark] = /^(\w+):(\w+)(!?)$/.exec(each)!; return { name: column!, type: type as Type, masked: mark === '!' } })
  return { name, columns: made, writable: extra.writable ?? false, masked: extra.masked ?? made.some((c) => c.masked), ...(extra.view === undefined ? {} : { view: extra.view }) }
}
export const TABLES: readonly Table[] = [
  table('people', 'id:int name:text team:text age:int joined:date note:text ssn:text! email:text! salary:numeric! pin:int! born:date! seen:stamp! tags:texts! doc:json! ref:uuid! raw:bytea! active:bool!', { writable: true }),
  table('orders', 'id:int person_id:int sku:text amount:numeric status:text at:date gift:text!', { writable: true }),
  table('teams', 'team:text lead:int budget:int made:stamp', { writable: true }),
  table('plain', 'id:int t:text n:int d:date j:json u:uuid b:bool ts:texts', { writable: true }),
  table('events', 'id:int kind:text who:text! at:date', { writable: true }),
  table('animals', 'id:int called:text chip:text!', { writable: true }),
  table('dogs', 'id:int called:text chip:text! breed:text', { writable: true }),
  table('v_people', 'id:int name:text number:text! pay:numeric!', { view: true }),
  table('v_clean', 'id:int name:text team:text', { view: true, masked: true }),
  table('v_join', 'name:text sku:text email:text! amount:numeric', { view: true }),
  table('v_upper', 'id:int shout:text!', { view: true }),
  table('v_filter', 'id:int name:text', { view: true, masked: true }),
  table('v_agg', 'team:text top:numeric! n:int', { view: true }),
  table('v_plain', 'id:int t:text n:int', { view: true }),
  table('mv_people', 'id:int ssn:text!', { view: true }),
]

/** What lies in files of its own. */
export const STORED: readonly string[] = ['people', 'orders', 'teams', 'plain', 'events', 'animals', 'dogs', 'mv_people', 'people_log']

const SCHEMA = `
CREATE SCHEMA hr; GRANT ALL ON SCHEMA hr TO app; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
CREATE TYPE addr AS (street text, zip int); CREATE DOMAIN short AS text CHECK (length(VALUE) < 200); CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad');
CREATE TABLE teams(team text PRIMARY KEY, lead int, budget int, made timestamptz);
CREATE TABLE people(id int PRIMARY KEY, name text NOT NULL, team text REFERENCES teams, age int, joined date, note text, ssn text, email varchar(60), salary numeric(12,2), pin int, born date, seen timestamptz,
  tags text[], doc jsonb, ref uuid, raw bytea, active boolean, home addr, mood mood, code short, pad text, ssn_end text GENERATED ALWAYS AS (right(ssn, 4)) STORED);
CREATE UNIQUE INDEX people_name ON people(name); CREATE INDEX people_ssn ON people(ssn);
CREATE TABLE orders(id int PRIMARY KEY, person_id int REFERENCES people(id), sku text, amount numeric(10,2), status text DEFAULT 'new', at date, gift text);
CREATE TABLE plain(id int PRIMARY KEY, t text, n int, d date, j jsonb, u uuid, b boolean, ts text[]);
CREATE TABLE events(id int, kind text, who text, at date) PARTITION BY LIST (kind);
CREATE TABLE events_a PARTITION OF events FOR VALUES IN ('a'); CREATE TABLE events_b PARTITION OF events DEFAULT;
CREATE TABLE animals(id int, called text, chip text); CREATE TABLE dogs(breed text) INHERITS (animals);
CREATE VIEW v_people AS SELECT id, name, ssn AS number, salary AS pay FROM people;
CREATE VIEW v_clean WITH (security_barrier) AS SELECT id, name, team FROM people WHERE age > 20;
CREATE VIEW v_join AS SELECT p.name, o.sku, p.email, o.amount FROM people p JOIN orders o ON o.person_id = p.id;
CREATE VIEW v_upper AS SELECT id, upper(email) AS shout FROM people;
CREATE VIEW v_filter AS SELECT id, name FROM people WHERE salary > 50000;
CREATE VIEW v_agg AS SELECT team, max(salary) AS top, count(*)::int AS n FROM people GROUP BY team;
CREATE VIEW v_plain AS SELECT id, t, n FROM plain WHERE n > 2;
CREATE MATERIALIZED VIEW mv_people AS SELECT id, ssn FROM people WITH NO DATA;
CREATE FUNCTION f_ssn(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT ssn FROM people WHERE id = $1';
CREATE FUNCTION f_people() RETURNS SETOF people LANGUAGE sql STABLE AS 'SELECT * FROM people';
CREATE FUNCTION f_label(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT initcap($1) $$;
CREATE FUNCTION f_say(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'said %', $1; RETURN $1; END $$;
CREATE FUNCTION f_run(q text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE q; END $$;
CREATE TABLE hr.people(id int PRIMARY KEY, ssn text, grade int);
CREATE TABLE people_log(op text, was jsonb);
CREATE FUNCTION log_people() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO people_log VALUES (TG_OP, to_jsonb(OLD)); RETURN NEW; END $$;
CREATE TRIGGER people_kept AFTER UPDATE ON people FOR EACH ROW EXECUTE FUNCTION log_people();
RESET ROLE;`

/** Rows of `people`; those from GUESSED on are never named by a statement, so they are the marks to look for. */
export const PEOPLE = 16
export const GUESSED = 6
const TEAMS = ['red', 'green', 'blue', 'grey']
/** Where a masked value is NULL, in both alike. */
const absent = (row: number, column: number): boolean => ((row >> 1) * 7 + column * 5) % 11 === 3

const spread = (twin: number, row: number, salt: number): number => { let x = (row + 1) * 2_654_435_761 + salt * 40_503 + twin * 97_531_357; x ^= x >>> 15; x = Math.imul(x, 2_246_822_519); x ^= x >>> 13; return (x >>> 0) }
/** One of two databases. Where they are `wide`, the mean length of a hidden column differs too: a plan's widths could tell, and it may lead to rows in another order. */
export interface Twin { readonly number: 0 | 1; readonly wide: boolean }
export interface Hidden { readonly ssn: string; readonly email: string; readonly salary: string; readonly pin: number; readonly born: string; readonly seen: string; readonly tags: string[]; readonly doc: string; readonly ref: string; readonly raw: string; readonly active: boolean; readonly gift: string; readonly who: string; readonly chip: string }
/** What a twin hides in a row: of every kind that a statement could trip over (equal to others, empty, castable or not). Lengths are swapped between neighbours, so that their sums are the same. */
export function hidden({ number: twin, wide }: Twin, row: number): Hidden {
  const n = (salt: number, below: number) => spread(twin, row, salt) % below
  const length = (salt: number, below: number) => spread(0, row ^ twin, salt) % below
  const mark = (salt: number) => `${twin === 0 ? 'Zq' : 'Xv'}${n(salt, 0xfffffff).toString(36).padStart(6, '0')}${n(salt + 50, 0xfffffff).toString(36).padStart(6, '0')}`
  const known = row < GUESSED, longer = wide && twin === 1
  const ssn = known ? ['', '12', '987-65-4320', 'red', mark(1), '-5'][row ^ twin]! : `${mark(1)}${'.'.repeat(length(9, 7) + (longer ? 9 : 0))}`
  return {
    ssn, email: known && length(3, 3) === 0 ? `user${n(4, 3)}@x.example` : `${mark(3)}@${mark(4)}.example`, salary: known ? ['0', '-1', '50000', '70000.5', '3', '50000'][row ^ twin]! : `${1_000_000 + n(5, 8_999_999)}.${11 + n(6, 8)}`,
    pin: known ? [0, 1, row, 2_147_483_647][n(7, 4)]! : 100_000_000 + n(7, 899_999_999), born: `${1900 + n(8, 100)}-${1 + n(10, 12)}-${1 + n(11, 28)}`, seen: `${1990 + n(12, 35)}-0${1 + n(13, 9)}-11 0${n(14, 10)}:${10 + n(15, 50)}:00+00`,
    tags: Array.from({ length: length(16, 4) }, (_, i) => mark(17 + i)), doc: JSON.stringify({ k: mark(21), n: n(22, 9), list: Array.from({ length: length(23, 3) }, (_, i) => i), ...(length(24, 2) === 0 ? { extra: mark(25) } : {}), ...(longer ? { longer: mark(33) } : {}) }),
    ref: [...`${spread(twin, row, 26).toString(16).padStart(8, '0')}${spread(twin, row, 27).toString(16).padStart(8, '0')}`.repeat(2)].join('').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
    raw: `\\x${Buffer.from(mark(28)).toString('hex')}`, active: n(29, 2) === 0, gift: mark(30), who: mark(31), chip: mark(32),
  }
}
const text = (value: string | number | boolean) => `'${String(value).replaceAll("'", "''")}'`

/** Rows of people are all as long as this, so that the table's size, from which the server makes its plans and so the order of rows, is the same in both. */
const ROW_BYTES = 900
/** One text that makes the rows of a twin. */
export function rowsOf(twin: Twin): string {
  const people: string[] = [], orders: string[] = [], events: string[] = [], animals: string[] = [], dogs: string[] = []
  for (let row = 0; row < PEOPLE; row++) {
    const h = hidden(twin, row)
    let column = 0
    const or = (value: string) => (absent(row, column++) ? 'NULL' : value)
    people.push(`(${row + 1}, 'Name ${row + 1}', '${TEAMS[row % 4]!}', ${row % 5 === 4 ? 'NULL' : 18 + row * 3}, date '2020-01-01' + ${row * 31}, ${row % 3 === 0 ? 'NULL' : `'note ${row % 4}'`}, ${or(text(h.ssn))}, ${or(text(h.email))}, ${or(h.salary)}, ${or(String(h.pin))}, ${or(text(h.born))}, ${or(text(h.seen))},
      ${or(`ARRAY[${h.tags.map(text).join()}]::text[]`)}, ${or(text(h.doc))}, ${or(text(h.ref))}, ${or(text(h.raw))}, ${or(String(h.active))}, ${or(`ROW(${text(h.gift)}, ${h.pin})`)}, ${or(text(['sad', 'ok', 'glad'][h.pin % 3]!))}, ${or(text(h.who))})`)
    for (let i = 0; i < 2; i++) orders.push(`(${row * 2 + i + 1}, ${1 + (row * 5 + i) % PEOPLE}, 'SKU-${row % 5}', ${row * 10 + i}.5, '${['new', 'paid', 'sent'][(row + i) % 3]!}', date '2024-01-01' + ${row}, ${(row + i) % 6 === 0 ? 'NULL' : text(h.gift + i)})`)
    events.push(`(${row + 1}, '${['a', 'b', 'c'][row % 3]!}', ${row % 7 === 0 ? 'NULL' : text(h.who)}, date '2024-05-01' + ${row})`)
    ;(row % 2 === 0 ? animals : dogs).push(row % 2 === 0 ? `(${row + 1}, 'pet ${row}', ${text(h.chip)})` : `(${row + 1}, 'dog ${row}', ${text(h.chip)}, 'breed ${row % 3}')`)
  }
  return `INSERT INTO teams SELECT t, n::int, n::int * 100, timestamptz '2020-01-01 00:00:00+00' + n * interval '1 day' FROM unnest(ARRAY['red', 'green', 'blue', 'grey']) WITH ORDINALITY AS x(t, n);
CREATE TEMP TABLE staged (LIKE people INCLUDING GENERATED);
INSERT INTO staged(id, name, team, age, joined, note, ssn, email, salary, pin, born, seen, tags, doc, ref, raw, active, home, mood, code) VALUES ${people.join(', ')};
INSERT INTO people(id, name, team, age, joined, note, ssn, email, salary, pin, born, seen, tags, doc, ref, raw, active, home, mood, code, pad) SELECT id, name, team, age, joined, note, ssn, email, salary, pin, born, seen, tags, doc, ref, raw, active, home, mood, code, repeat('.', ${ROW_BYTES} - pg_column_size(s)) FROM staged s ORDER BY id;
DROP TABLE staged;
INSERT INTO orders VALUES ${orders.join(', ')};
INSERT INTO events VALUES ${events.join(', ')};
INSERT INTO animals VALUES ${animals.join(', ')};
INSERT INTO dogs VALUES ${dogs.join(', ')};
INSERT INTO plain SELECT g, 'text ' || g % 7, g % 9, date '2023-03-01' + g, jsonb_build_object('k', 'v' || g, 'n', g), ('00000000-0000-0000-0000-' || lpad(g::text, 12, '0'))::uuid, g % 2 = 0, ARRAY['a' || g, 'b'] FROM generate_series(1, 14) g;
INSERT INTO hr.people SELECT g, 'open ' || g, g FROM generate_series(1, 4) g;
REFRESH MATERIALIZED VIEW mv_people; ANALYZE;`
}

export const MASKED = ['public.people.ssn', 'public.people.email', 'public.people.salary', 'public.people.pin', 'public.people.born', 'public.people.seen', 'public.people.tags', 'public.people.doc', 'public.people.ref', 'public.people.raw',
  'public.people.active', 'public.people.home', 'public.people.mood', 'public.people.code', 'public.people.pad', 'public.orders.gift', 'public.events.who', 'public.animals.chip']
export const policies = (): string => `policies: [{ name: p, who: { any: true }, on: { resources: [r] }, allow: [session, read, write, admin], mask: [{ fields: [${MASKED.map((m) => `"${m}"`).join(', ')}], with: redact }] }]\n`

/** What no byte to a client may hold: marks of rows that no statement names, in the forms that an answer could take. */
export function marks(twin: Twin): Buffer[] {
  const found = new Set<string>()
  for (let row = GUESSED; row < PEOPLE; row++) {
    const h = hidden(twin, row)
    for (const value of [h.ssn.replace(/\.+$/, ''), h.email.split('@')[0]!, h.salary, String(h.pin), h.ref, h.gift, h.who, h.chip, ...h.tags]) {
      if (value.length < 6) continue
      for (const form of [value, value.toLowerCase(), value.toUpperCase(), [...value].reverse().join(''), Buffer.from(value).toString('hex'), Buffer.from(value).toString('base64').replace(/.?=*$/, '')]) found.add(form)
    }
  }
  return [...found].map((each) => Buffer.from(each))
}

interface Server { sql(text: string, database?: string): Promise<{ rows: Record<string, unknown>[] }> }
/**
 * For each lane of a run databases `a…` and `b…` that are twins, and `c…` that holds what `a…` does: for the bare server's answers. Lanes share
 * nothing, for what one locks or makes would be told another as chance would have it. Gives the last object id that they share.
 */
export async function makeTwins(server: Server, lanes: readonly { readonly wide: boolean }[]): Promise<number> {
  await server.sql('CREATE ROLE app LOGIN')
  await server.sql('CREATE DATABASE twin')
  await server.sql('GRANT ALL ON DATABASE twin TO app')
  await server.sql(SCHEMA, 'twin')
  for (const [lane, { wide }] of lanes.entries()) {
    for (const [name, number] of [['a', 0], ['b', 1], ['c', 0]] as const) {
      await server.sql(`CREATE DATABASE ${name}${lane} TEMPLATE twin`)
      await server.sql(`GRANT ALL ON DATABASE ${name}${lane} TO app`)
      await server.sql(rowsOf({ number, wide }), `${name}${lane}`)
    }
  }
  return Number((await server.sql('SELECT max(oid) AS last FROM (SELECT oid FROM pg_class UNION ALL SELECT oid FROM pg_type) o', 'twin')).rows[0]!.last)
}
