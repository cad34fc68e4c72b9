// Expressions by type, as patterns: `{text}` stands for any expression of that type, `{col}` for a column, `{any}` for an expression of some
// type, `{q:int}` for a scalar subquery, `{row}` for a whole row, `{query}` for a subquery of one column. What is not immutable is not here,
// for two databases would then tell different things without a leak.
import type { Type } from './schema.ts'

export const TYPES: readonly Type[] = ['text', 'int', 'numeric', 'bool', 'date', 'stamp', 'json', 'texts', 'uuid', 'bytea']
export const NAMES: Readonly<Record<Type, string>> = { text: 'text', int: 'int', numeric: 'numeric', bool: 'boolean', date: 'date', stamp: 'timestamptz', json: 'jsonb', texts: 'text[]', uuid: 'uuid', bytea: 'bytea' }

export const LITERALS: Readonly<Record<Type, readonly string[]>> = {
  text: ["'red'", "''", "'987-65-4320'", "'12'", "'x'", "'%'", "'[hidden]'", "E'a\\tb'", "U&'\\0061'", '$$dollar$$', "'Name 3'", 'NULL::text', "'SKU-2'", "'a'"],
  int: ['0', '1', '2', '3', '7', '-1', '10', '2147483647', "'5'::int", 'NULL::int'],
  numeric: ['0.5', '1.0', '50000', '-3.25', '1e3', 'NULL::numeric'],
  bool: ['true', 'false', 'NULL::boolean', "'t'::bool"],
  date: ["date '2024-01-05'", "'2023-03-05'::date", "date '1950-01-01'", 'NULL::date'],
  stamp: ["timestamptz '2024-01-01 00:00:00+00'", "timestamptz '2020-01-02 00:00:00+00'", 'NULL::timestamptz'],
  json: ["'{}'::jsonb", '\'{"k": "v1", "n": 1}\'::jsonb', "'[1, 2]'::jsonb", "'null'::jsonb", 'NULL::jsonb'],
  texts: ["ARRAY['a', 'b']", "'{}'::text[]", "ARRAY[NULL, 'x']::text[]", 'NULL::text[]'],
  uuid: ["'00000000-0000-0000-0000-000000000003'::uuid", 'NULL::uuid'],
  bytea: ["'\\x00ff'::bytea", "'\\x'::bytea", 'NULL::bytea'],
}

/** Work on every row. */
export const SCALAR: Readonly<Record<Type, readonly string[]>> = {
  text: [
    'upper({text})', 'lower({text})', '{text} || {text}', '{text} || {any}', '({any})::text', 'CAST({any} AS varchar)', 'substr({text}, {small}, {small})', 'substring({text} from {small} for {small})', "substring({text} from '[0-9]+')",
    'left({text}, {small})', 'right({text}, {small})', "replace({text}, {text}, '*')", 'md5({text})', 'reverse({text})', 'repeat({text}, {small})', "lpad({text}, 5, '*')", 'translate({text}, {text}, {text})', "split_part({text}, '-', {small})",
    "regexp_replace({text}, '[a-z]', '#', 'g')", "format('%s and %I', {any}, {text})", 'concat({any}, {any}, {any})', "concat_ws('/', {any}, {any})", 'COALESCE({text}, {text})', 'NULLIF({text}, {text})', 'CASE WHEN {bool} THEN {text} ELSE {text} END',
    'CASE {text} WHEN {text} THEN {text} ELSE {text} END', "to_char({numeric}, '999999D99')", "to_char({date}, 'YYYY-MM')", "encode({bytea}, 'hex')", "encode({bytea}, 'base64')", 'quote_literal({any})', 'quote_nullable({any})', 'initcap({text})', 'btrim({text}, {text})',
    'GREATEST({text}, {text})', 'LEAST({text}, {text})', "array_to_string({texts}, ',')", '({texts})[{small}]', "{json} ->> 'k'", "{json} #>> '{k}'", 'jsonb_pretty({json})', '({row})::text', 'row_to_json({row})::text', '{row}::text', 'to_jsonb({row})::text',
    'ROW({any}, {any})::text', '{q:text}', 'chr(65 + abs({small}))', 'to_hex({small})', 'pg_typeof({any})::text', "xmlelement(name x, {any})::text", "xmlforest({any} AS f)::text", 'xmlserialize(content xmlconcat(xmlelement(name y, {text})) AS text)', "convert_from({bytea}, 'UTF8')",
    'overlay({text} placing {text} from {small})', 'normalize({text})', '{text} COLLATE "C"', 'f_label({text})', 'quote_ident({text})', '(SELECT {text})', "json_build_object('a', {any}, 'b', {any})::text", 'ARRAY[{text}, {text}]::text', "unistr({text})",
    "translate({text}, '0123456789', 'abcdefghij')", "to_json({any})::text", 'array_to_json({texts})::text', 'sha256({bytea})::text', "({text})::varchar(3)", '({text})::char(2)', "({text})::name::text", 'ascii({text})::text', "sha256(convert_to({text}, 'UTF8'))::text",
  ],
  int: [
    'length({text})', '({text})::int', 'CAST({text} AS int)', 'ascii({text})', 'strpos({text}, {text})', 'position({text} in {text})', '{int} + {int}', '{int} - {int}', '{int} * {small}', '{int} / {int}', '{int} % {int}', 'abs({int})', '-({int})', 'COALESCE({int}, {int})', 'NULLIF({int}, {int})',
    'CASE WHEN {bool} THEN {int} ELSE {int} END', 'bit_length({text})', 'octet_length({text})', 'cardinality({texts})', 'array_length({texts}, 1)', 'array_position({texts}, {text})', 'extract(year from {date})::int', 'date_part(\'day\', {stamp})::int', '({date} - {date})', '({numeric})::int',
    'sign({numeric})::int', 'width_bucket({numeric}, 0, 100, 5)', '({bool})::int', 'num_nulls({any}, {any})', 'num_nonnulls({any}, {any})', '{q:int}', 'GREATEST({int}, {int})', 'LEAST({int}, {small})', "jsonb_array_length({json} -> 'list')", "({json} ->> 'n')::int", 'hashtext({text})', 'length({bytea})', 'get_byte({bytea}, {small})',
    '({int})::smallint::int', '1 / (length({text}) - {small})', '{int} # {int}', '{int} & {int}', '{int} << 1', 'pg_column_size({any})', 'gcd({int}, {small})', 'factorial({small})::int',
  ],
  numeric: ['({int})::numeric', '({text})::numeric', '{numeric} + {numeric}', '{numeric} * {numeric}', '{numeric} / {numeric}', '{numeric} - {int}', 'round({numeric}, 1)', 'sqrt(abs({numeric}))', 'ln({numeric})', 'power({numeric}, {small})', 'abs({numeric})', 'COALESCE({numeric}, {numeric})', 'CASE WHEN {bool} THEN {numeric} END', 'extract(epoch from {stamp})',
    'trunc({numeric})', 'mod({numeric}, {numeric})', '{q:numeric}', 'GREATEST({numeric}, {numeric})', "to_number({text}, '999')", 'scale({numeric})::numeric', "exp({numeric})"],
  bool: [
    '{text} = {text}', '{text} <> {text}', '{text} < {text}', '{int} > {int}', '{int} = {int}', '{numeric} >= {numeric}', '{numeric} < {numeric}', '{date} > {date}', '{stamp} <= {stamp}', "{text} LIKE '%2%'", '{text} LIKE {text}', "{text} ILIKE 'r%'", "{text} ~ '^[0-9]'", '{text} SIMILAR TO {text}', '{text} ~ {text}', '{text} IN ({text}, {text})', '{int} IN ({int}, {int})',
    '{text} IN ({query:text})', '{int} = ANY ({query:int})', '{text} = ANY ({texts})', '{int} BETWEEN {int} AND {int}', '{text} BETWEEN SYMMETRIC {text} AND {text}', '{any} IS NULL', '{any} IS NOT NULL', '{text} IS DISTINCT FROM {text}', 'NOT ({bool})', '{bool} AND {bool}', '{bool} OR {bool}', '{bool} IS TRUE', '{bool} IS NOT UNKNOWN', 'EXISTS ({query:any})', '{row} IS NULL', 'ROW({int}, {text}) = ROW({int}, {text})',
    'ROW({text}, {int}) < ROW({text}, {int})', "{json} ? 'k'", '{json} @> {json}', '{texts} && {texts}', '{texts} @> {texts}', '{uuid} = {uuid}', '{bytea} = {bytea}', 'starts_with({text}, {text})', '({text})::boolean', '{q:bool}', '{json} = {json}', "{json} @? '$.n ? (@ > 3)'", "jsonb_path_exists({json}, '$.extra')", '{bool} = {bool}', '({int}, {text}) IN (SELECT {int}, {text})', '{row} = {row}',
    '{text} > ALL ({query:text})', '{bool} IS DISTINCT FROM {bool}', 'COALESCE({bool}, {bool})', 'CASE WHEN {bool} THEN {bool} ELSE {bool} END', '{date} IS NOT DISTINCT FROM {date}', '{row} IS NOT DISTINCT FROM {row}', '({date}, {date}) OVERLAPS ({date}, {date})', '{text} ^@ {text}', "int4range({int}, {int}) @> {int}", 'ROW({row}) = ROW({row})',
  ],
  date: ['{date} + {small}', '{date} - {small}', '({text})::date', '({stamp})::date', 'COALESCE({date}, {date})', 'CASE WHEN {bool} THEN {date} END', '{q:date}', 'GREATEST({date}, {date})', "to_date({text}, 'YYYY-MM-DD')", "make_date({int}, 1, 1)"],
  stamp: ["{stamp} + interval '1 day'", "date_trunc('month', {stamp})", '({date})::timestamptz', 'COALESCE({stamp}, {stamp})', 'to_timestamp({int})', '{q:stamp}', "{stamp} - make_interval(days => {small})"],
  json: ['to_jsonb({any})', 'to_jsonb({row})', 'jsonb_build_object({text}, {any})', 'jsonb_build_array({any}, {any})', '{json} || {json}', "{json} -> 'k'", "{json} - 'k'", "jsonb_set({json}, '{k}', {json})", '({text})::jsonb', 'row_to_json({row})::jsonb', 'COALESCE({json}, {json})', "jsonb_path_query_array({json}, '$.*')", 'jsonb_strip_nulls({json})', '{q:json}', 'to_jsonb({texts})', "jsonb_object({texts}, {texts})", "{json} #- '{n}'"],
  texts: ['ARRAY[{text}, {text}]', '{texts} || {text}', 'array_append({texts}, {text})', "string_to_array({text}, '-')", 'ARRAY({query:text})', "regexp_split_to_array({text}, '[0-9]')", 'COALESCE({texts}, {texts})', "regexp_match({text}, '([0-9]+)')", '({texts})[1:2]', 'array_remove({texts}, {text})', 'ARRAY[({any})::text]', 'array_cat({texts}, {texts})', '({text})::text[]', 'array_fill({text}, ARRAY[2])'],
  uuid: ['({text})::uuid', 'COALESCE({uuid}, {uuid})', 'md5({text})::uuid', '{q:uuid}', 'CASE WHEN {bool} THEN {uuid} END'],
  bytea: ["convert_to({text}, 'UTF8')", 'sha256({bytea})', '({text})::bytea', 'COALESCE({bytea}, {bytea})', '{bytea} || {bytea}', 'substr({bytea}, 1, {small})', "decode({text}, 'hex')", "set_byte({bytea}, 0, {small})"],
}

/** Work on a group. Their arguments hold no aggregates. */
export const AGGREGATES: Readonly<Record<Type, readonly string[]>> = {
  text: ['max({text})', 'min({text})', "string_agg({text}, ',' ORDER BY {text})", "string_agg(DISTINCT {text}, ',')", '(array_agg({text} ORDER BY {int}))[1]', 'mode() WITHIN GROUP (ORDER BY {text})', 'percentile_disc(0.5) WITHIN GROUP (ORDER BY {text})', "xmlagg(xmlelement(name a, {text}))::text", 'json_agg({row})::text'],
  int: ['count(*)::int', 'count({any})::int', 'count(DISTINCT {any})::int', 'max({int})', 'min({int})', 'sum({int})::int', 'count(*) FILTER (WHERE {bool})::int', '(count(*) FILTER (WHERE {bool}))::int', 'bit_or({int})', 'rank({text}) WITHIN GROUP (ORDER BY {text})::int', 'count({row})::int', 'regr_count({int}, {int})::int'],
  numeric: ['avg({int})', 'sum({numeric})', 'max({numeric})', 'stddev({numeric})', 'percentile_cont(0.5) WITHIN GROUP (ORDER BY {int})::numeric', 'corr({int}, {int})::numeric', 'variance({int})'],
  bool: ['bool_and({bool})', 'bool_or({bool})', 'every({bool})', 'count(*) > 2'],
  date: ['max({date})', 'min({date})'], stamp: ['max({stamp})'],
  json: ['jsonb_agg({any} ORDER BY {int})', 'jsonb_object_agg(COALESCE({text}, \'-\'), {any})', 'jsonb_agg({row})'],
  texts: ['array_agg({text} ORDER BY {text})', 'array_agg(DISTINCT {text})'], uuid: [], bytea: [],
}
export const WINDOWS: Readonly<Record<Type, readonly string[]>> = {
  text: ['lag({text}) OVER ({over})', 'first_value({text}) OVER ({over})', 'max({text}) OVER ({over})', "string_agg({text}, '') OVER ({over})", 'nth_value({text}, 2) OVER ({over})'], int: ['row_number() OVER ({over})::int', 'rank() OVER ({over})::int', 'dense_rank() OVER ({over})::int', 'ntile(3) OVER ({over})::int', 'count({any}) OVER ({over})::int', 'sum({int}) OVER ({over})::int'],
  numeric: ['avg({numeric}) OVER ({over})', 'sum({numeric}) OVER ({over} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)', 'percent_rank() OVER ({over})::numeric'], bool: ['bool_or({bool}) OVER ({over})'], date: ['lead({date}) OVER ({over})'], stamp: [], json: ['jsonb_agg({any}) OVER ({over})'], texts: ['array_agg({text}) OVER ({over})'], uuid: [], bytea: [],
}
