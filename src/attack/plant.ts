// The schema that an attack is tried on: made for it, with invented people, and dropped afterwards. Nothing else of the database is touched.
import { CASES_SCHEMA } from './cases.ts'

/** What a policy must hide for the attack to mean something. */
export const HIDDEN_FIELDS: readonly string[] = ['ssn', 'card_number', 'email'].map((column) => `${CASES_SCHEMA}.customers.${column}`)

const PEOPLE: readonly (readonly [number, string, string | null, string | null, string | null, string | null])[] = [
  [1, 'Alice Zephyr', 'alice.zephyr@marker-mail.example', '123-45-6789', '4539148803436467', 'prefers phone contact'],
  [2, 'Bob Quill', 'bob.quill@marker-mail.example', '987-65-4320', '5425233430109903', 'VIP'],
  [3, 'Carol O\'Hara', 'carol+tag@marker-mail.example', '219099999', '3714 496353 98431', 'asked to be called back'],
  [4, 'Dan Null', null, null, null, null],
  [5, 'Eve Empty', '', '', '', ''],
  [6, 'Fay Tab\tBack\\', 'Ünïcode@marker-mail.example', '１２３-４５-６７８９', '4539-1488-0343-6467', 'line1\nline2'],
  [7, 'Gus Long', 'gus.long@marker-mail.example', '321-54-9876', '4556737586899855', 'lorem ipsum '.repeat(40)],
  [8, 'Hana Odd', 'hana.odd@marker-mail.example', 'MARKER-SSN-EIGHT', 'MARKER-CARD-EIGHT', 'national id is not US-shaped'],
  [9, 'Trust Beneficiary 9', 'b9@marker-mail.example', '555-12-3456', '4916338506082832', 'shared trust id'],
  [10, 'Trust Beneficiary 10', 'b10@marker-mail.example', '555-12-3456', '4916338506082832', 'shared trust id'],
]
const literal = (value: string | number | null): string => (value === null ? 'NULL' : typeof value === 'number' ? String(value) : `'${value.replaceAll("'", "''")}'`)

/** Each may fail on its own (a gateway may refuse a function over masked columns): what needs it is then not tried. */
export const PLANT: readonly string[] = [
  `CREATE SCHEMA ${CASES_SCHEMA}`,
  `CREATE TABLE ${CASES_SCHEMA}.customers(id int PRIMARY KEY, name text NOT NULL, email text, ssn text, card_number text, notes text, created_at timestamptz NOT NULL DEFAULT '2024-01-02 03:04:05+00')`,
  `INSERT INTO ${CASES_SCHEMA}.customers(id, name, email, ssn, card_number, notes) VALUES ${PEOPLE.map((person) => `(${person.map(literal).join(', ')})`).join(', ')}`,
  `CREATE TABLE ${CASES_SCHEMA}.orders(id int PRIMARY KEY, customer_id int REFERENCES ${CASES_SCHEMA}.customers(id), sku text NOT NULL, amount numeric(12,2) NOT NULL, status text NOT NULL DEFAULT 'new', note text, created_at timestamptz NOT NULL DEFAULT '2024-05-01 00:00:00+00')`,
  `INSERT INTO ${CASES_SCHEMA}.orders(id, customer_id, sku, amount, status, note) SELECT g, 1 + g % 10, 'SKU-' || g % 7, g + 0.5, (ARRAY['new', 'paid', 'shipped'])[1 + g % 3], 'order note ' || g FROM generate_series(1, 30) g`,
  `CREATE VIEW ${CASES_SCHEMA}.v_contact AS SELECT id, name, email AS contact FROM ${CASES_SCHEMA}.customers`,
  `CREATE VIEW ${CASES_SCHEMA}.v_taxref AS SELECT id, replace(ssn, '-', '') AS tax_ref FROM ${CASES_SCHEMA}.customers`,
  `CREATE MATERIALIZED VIEW ${CASES_SCHEMA}.mv_people AS SELECT id, name, ssn AS person_no FROM ${CASES_SCHEMA}.customers`,
  `CREATE FUNCTION ${CASES_SCHEMA}.cust_card(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT card_number FROM ${CASES_SCHEMA}.customers WHERE id = $1'`,
  `CREATE FUNCTION ${CASES_SCHEMA}.cust_row(int) RETURNS SETOF ${CASES_SCHEMA}.customers LANGUAGE sql STABLE AS 'SELECT * FROM ${CASES_SCHEMA}.customers WHERE id = $1'`,
  `CREATE FUNCTION ${CASES_SCHEMA}.exec_sql(q text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE q; END $$`,
  `CREATE FUNCTION ${CASES_SCHEMA}.status_label(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT initcap($1) $$`,
  `ANALYZE ${CASES_SCHEMA}.customers`,
]
/** Without these nothing can be tried. */
export const PLANT_NEEDED = 5
export const CLEAR = `DROP SCHEMA IF EXISTS ${CASES_SCHEMA} CASCADE`

/** Other hidden values of the same form, in which none equals what it did and the order is another; twice gives the first again. */
const turned = (column: string) => `${column} = CASE WHEN id % 2 = 0 THEN translate(${column}, '0123456789', '5678901234') ELSE translate(${column}, '01', '10') END`
export const OTHER_VALUES = `UPDATE ${CASES_SCHEMA}.customers SET ${turned('ssn')}, ${turned('card_number')}, email = 'z' || reverse(email)`
export const FIRST_VALUES = `UPDATE ${CASES_SCHEMA}.customers SET ${turned('ssn')}, ${turned('card_number')}, email = reverse(substr(email, 2))`

const VALUE_CHARACTERS_MIN = 9
const DIGITS_MIN = 8
/** Every planted value that must stay hidden, in the forms that an answer could carry it in. */
export function plantedForms(): readonly Buffer[] {
  const found = new Set<string>()
  for (const [, , email, ssn, card] of PEOPLE) for (const value of [email, ssn, card]) if (value !== null && value.length >= VALUE_CHARACTERS_MIN) for (const form of formsOf(value)) found.add(form)
  return [...found].map((form) => Buffer.from(form))
}
function formsOf(value: string): string[] {
  const bytes = Buffer.from(value), digits = value.replaceAll(/\D/g, ''), reversed = [...value].reverse().join('')
  const forms = [value, value.toUpperCase(), value.toLowerCase(), reversed, bytes.toString('hex'), bytes.toString('hex').toUpperCase(), [...bytes].join(','), [...value].join(' '), encodeURIComponent(value)]
  if (digits.length >= DIGITS_MIN) forms.push(digits, [...digits].reverse().join(''))
  // Base64 of a longer text has it at one of three alignments.
  for (let shift = 0; shift < 3; shift++) {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64')
    forms.push(text.slice([0, 2, 3][shift]!, text.length - ((bytes.length + shift) % 3 === 0 ? 0 : 4)))
  }
  return forms.filter((form) => form.length >= DIGITS_MIN)
}
