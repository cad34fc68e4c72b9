// Writes src/sql/functions.builtin.ts: the built-in functions of PostgreSQL 14 to 18 that are harmless, and those of well-known extensions, from
// real servers' pg_proc less what src/sql/excluded.ts names. Stops at a volatile function that nobody has looked at yet.
// Run it again for a new server version: node scripts/functions.ts
import { writeFileSync } from 'node:fs'
import { exclusionOf } from '../src/sql/excluded.ts'
import { ALL_VERSIONS, startPostgres } from '../test/servers/postgres.ts'

const EXTENSIONS = ['pg_trgm', 'pgcrypto', 'hstore', 'citext', 'uuid-ossp', 'fuzzystrmatch']
// Volatile because of time or chance, or because they only tell about objects or this session: read, and found to change nothing.
const REVIEWED = new Set(`array_sample array_shuffle clock_timestamp currval lastval gen_random_uuid uuidv4 uuidv7 random random_normal setseed timeofday timezone
  nextval setval pg_notify set_config pg_collation_actual_version pg_database_collation_actual_version pg_database_size pg_indexes_size pg_relation_size pg_get_sequence_data pg_table_size pg_tablespace_size
  pg_total_relation_size pg_get_wait_events pg_is_in_recovery pg_jit_available pg_notification_queue_usage pg_partition_ancestors pg_partition_tree pg_sequence_last_value
  pg_stat_get_io pg_stat_get_xact_blocks_fetched pg_stat_get_xact_blocks_hit pg_stat_get_xact_function_calls pg_stat_get_xact_function_self_time pg_stat_get_xact_function_total_time
  pg_stat_get_xact_numscans pg_stat_get_xact_tuples_deleted pg_stat_get_xact_tuples_fetched pg_stat_get_xact_tuples_hot_updated pg_stat_get_xact_tuples_inserted
  pg_stat_get_xact_tuples_newpage_updated pg_stat_get_xact_tuples_returned pg_stat_get_xact_tuples_updated`.split(/\s+/))

type Found = Map<string, Set<number>>
const builtin: Found = new Map()
const information: Found = new Map()
const types: Found = new Map()
const relations: Found = new Map()
const sets = new Set<string>()
const aggregates = new Set<string>()
const plain = new Set<string>()
const extensions = new Map<string, Set<string>>(EXTENSIONS.map((name) => [name, new Set()]))
const add = (to: Found, name: string, version: number): void => { const known = to.get(name); if (known === undefined) to.set(name, new Set([version])); else known.add(version) }

for (const version of ALL_VERSIONS) {
  const server = await startPostgres({ version })
  try {
    // A function with an argument of type internal can't be called by SQL; triggers and handlers neither.
    const { rows } = await server.sql(`SELECT n.nspname::text AS schema, p.proname::text AS name, p.provolatile::text AS volatility, p.proretset AS many, p.prokind::text AS kind
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
      WHERE n.nspname IN ('pg_catalog', 'information_schema') AND NOT 'internal'::regtype = ANY (p.proargtypes::oid[])
        AND p.prorettype::regtype::text !~ 'handler$|^(internal|trigger|event_trigger)$'`)
    for (const { schema, name, volatility, many, kind } of rows as { schema: string; name: string; volatility: string; many: boolean; kind: string }[]) {
      if (exclusionOf(name) !== null) continue
      if (volatility === 'v' && !REVIEWED.has(name)) throw new Error(`nobody has looked at the volatile function ${name} of version ${version}: put it into excluded.ts or REVIEWED`)
      if (many) sets.add(name)
      if (kind === 'a') aggregates.add(name); else plain.add(name)
      add(schema === 'pg_catalog' ? builtin : information, name, version)
    }
    for (const { name } of (await server.sql(`SELECT typname::text AS name FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm') AND typname !~ '^_'`)).rows as { name: string }[]) add(types, name, version)
    for (const { name } of (await server.sql(`SELECT relname::text AS name FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')`)).rows as { name: string }[]) add(relations, name, version)
    const behind = (await server.sql(`SELECT DISTINCT p.proname::text AS name FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode WHERE o.oprnamespace = 'pg_catalog'::regnamespace`)).rows as { name: string }[]
    for (const { name } of behind) if (exclusionOf(name) !== null) throw new Error(`a built-in operator calls the excluded function ${name}`)
    for (const extension of EXTENSIONS) {
      await server.sql(`CREATE EXTENSION "${extension}"`)
      const members = await server.sql(`SELECT p.proname::text AS name, p.proretset AS many FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension e ON e.oid = d.refobjid WHERE e.extname = '${extension}'`)
      for (const { name, many } of members.rows as { name: string; many: boolean }[]) { extensions.get(extension)!.add(name); if (many) sets.add(name) }
    }
  } finally { await server.stop() }
}

/** Names grouped by the versions that have them, `14-18`, wrapped into lines. */
function grouped(found: Found): string {
  const groups = new Map<string, string[]>()
  for (const [name, versions] of [...found].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const sorted = [...versions].sort()
    const range = `${sorted[0]}-${sorted.at(-1)}`
    if (sorted.length !== sorted.at(-1)! - sorted[0]! + 1) throw new Error(`${name} comes and goes`)
    groups.set(range, [...(groups.get(range) ?? []), name])
  }
  return [...groups].sort().map(([range, names]) => `  '${range}': \`\n${wrapped(names)}\`,`).join('\n')
}
function wrapped(names: readonly string[]): string {
  const lines: string[] = ['']
  for (const name of names) {
    if (lines.at(-1)!.length + name.length > 155) lines.push('')
    lines[lines.length - 1] += `${lines.at(-1) === '' ? '' : ' '}${name}`
  }
  return lines.join('\n')
}
const table = (name: string, comment: string, body: string): string => `/** ${comment} */\nexport const ${name}: Readonly<Record<string, string>> = {\n${body}\n}\n`
writeFileSync(new URL('../src/sql/functions.builtin.ts', import.meta.url), `// Generated by scripts/functions.ts from the pg_proc of PostgreSQL 14 to 18. Do not edit: change excluded.ts or the script.
// Names by the range of server versions that have them.
${table('BUILTIN', 'Harmless functions, aggregates and window functions of pg_catalog.', grouped(builtin))}
${table('INFORMATION', 'Harmless functions of information_schema.', grouped(information))}
${table('TYPES', 'Base, range and multirange types of pg_catalog: \`type(value)\` is a cast.', grouped(types))}
${table('RELATIONS', 'Tables and views of pg_catalog.', grouped(relations))}
/** Functions among all these that may give more than one row. */
export const SETS = \`
${wrapped([...sets].sort())}\`
/** Built-in functions that are aggregates in every overload. */
export const AGGREGATES = \`
${wrapped([...aggregates].filter((name) => !plain.has(name)).sort())}\`
${table('EXTENSIONS', 'Harmless functions of well-known extensions, by extension.', [...extensions].map(([name, names]) => `  '${name}': \`\n${wrapped([...names].sort())}\`,`).join('\n'))}`)
