// SET, RESET and set_config(): which settings a session may change for itself, and to what. Everything not listed changes how the server
// runs, whom it trusts or what it logs, and counts as configuring it.
export interface SettingChange {
  /** Lower case; `*` for all. */
  readonly name: string
  /** null: back to the default, or not known. */
  readonly value: string | null
  readonly local: boolean
}
export type SettingJudgement = { readonly operation: 'sql.set'; readonly access: 'session' } | { readonly operation: 'sql.role' | 'sql.configure'; readonly access: 'admin'; readonly reason: string }

const HARMLESS: readonly (readonly [names: string, why: string])[] = [
  ['datestyle intervalstyle timezone extra_float_digits bytea_output lc_monetary lc_numeric lc_time xmloption quote_all_identifiers', 'how values are written'],
  ['application_name client_min_messages', 'names this session; picks which notices it gets'],
  ['statement_timeout lock_timeout transaction_timeout idle_in_transaction_session_timeout idle_session_timeout', 'its own patience; the gateway keeps limits of its own'],
  ['search_path', 'how names are found; probed on the session itself, and refused where it is in doubt'],
  ['default_text_search_config gin_fuzzy_search_limit', 'its own full text search'],
  ['transaction_isolation transaction_read_only transaction_deferrable default_transaction_isolation default_transaction_read_only default_transaction_deferrable', 'its own transactions'],
  ['default_tablespace default_table_access_method check_function_bodies synchronize_seqscans row_security restrict_nonsystem_relation_kind escape_string_warning', 'what dumps set before they read; row_security = off turns filters into errors'],
  ['jit plan_cache_mode constraint_exclusion cursor_tuple_fraction from_collapse_limit join_collapse_limit random_page_cost seq_page_cost cpu_tuple_cost cpu_index_tuple_cost cpu_operator_cost effective_cache_size max_parallel_workers_per_gather default_statistics_target', 'how its queries are planned'],
  ['pg_trgm.similarity_threshold pg_trgm.word_similarity_threshold pg_trgm.strict_word_similarity_threshold', 'its own searches'],
]
const harmless = new Set(HARMLESS.flatMap(([names]) => names.split(' ')))
const PLANNER = /^(enable|geqo|jit)_[a-z_]+$|^geqo$/
/** More than this per sort or hash is the server's to give. */
const WORK_MEM_KIB_MAX = 256 * 1024

/** `value`: null for DEFAULT and RESET, undefined when it is not known (an expression). */
export function judgeSetting(name: string, value: string | null | undefined): SettingJudgement {
  const setting = name.toLowerCase()
  const configure = (reason: string): SettingJudgement => ({ operation: 'sql.configure', access: 'admin', reason })
  if (setting === 'role' || setting === 'session_authorization') return { operation: 'sql.role', access: 'admin', reason: `${setting} changes whom the server takes this session for` }
  if (value === undefined) return configure(`the value of ${setting} is not known before it runs`)
  if (setting === 'standard_conforming_strings') return value === null || isTrue(value) ? SESSION : configure('standard_conforming_strings must stay on: without it texts mean something else')
  if (setting === 'client_encoding') return value === null || /^(utf-?8|unicode)$/i.test(value) ? SESSION : configure('client_encoding must be UTF8: other encodings can hide quotes')
  if (setting === 'work_mem') return value === null || kibibytes(value) <= WORK_MEM_KIB_MAX ? SESSION : configure('work_mem above 256MB is the server\'s to give')
  return harmless.has(setting) || PLANNER.test(setting) ? SESSION : configure(`setting ${setting} is not known to be harmless`)
}
const SESSION: SettingJudgement = { operation: 'sql.set', access: 'session' }

/** What the server reads as true: on, true, yes, 1 and their unambiguous beginnings. */
const isTrue = (value: string): boolean => /^(t|tr|tru|true|on|y|ye|yes|1)$/i.test(value)

function kibibytes(value: string): number {
  const [, number, unit = 'kB'] = /^\s*(\d+)\s*(B|kB|MB|GB|TB)?\s*$/.exec(value) ?? []
  if (number === undefined) return Infinity
  return Number(number) * { B: 1 / 1024, kB: 1, MB: 1024, GB: 1024 ** 2, TB: 1024 ** 3 }[unit as 'B']!
}
