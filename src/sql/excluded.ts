// Built-in functions that are NOT harmless, each group with its reason, and relations of the system catalogs that hold what a reader of
// tables should not see. Hand-kept; scripts/functions.ts writes the list of harmless ones as everything else that is built in, and stops at any
// volatile function that is neither here nor in its list of reviewed ones. `name*` covers all that begin so.

/** Why, in words for a refusal, and the operation it counts as. */
export interface Exclusion { readonly operation: string; readonly reason: string; readonly names: string }

export const EXCLUDED: readonly Exclusion[] = [
  { operation: 'sql.file', reason: 'reads or lists files of the server',
    names: 'pg_read_* pg_ls_* pg_stat_file pg_current_logfile pg_hba_file_rules pg_ident_file_mappings pg_show_all_file_settings pg_config pg_control_* pg_rotate_logfile pg_rotate_logfile_old pg_get_loaded_modules pg_available_wal_summaries pg_wal_summary_contents pg_get_wal_summarizer_state pg_import_system_collations' },
  { operation: 'sql.file', reason: 'reads or writes large objects, which lie outside of tables and their masks',
    names: 'lo_* loread lowrite' },
  { operation: 'sql.network', reason: 'tells addresses behind the gateway', names: 'inet_server_addr inet_server_port inet_client_addr inet_client_port' },
  { operation: 'sql.configure', reason: 'changes how the server or this session runs', names: 'set_config pg_reload_conf pg_promote' },
  { operation: 'sql.call', reason: 'holds a connection or takes time without doing work', names: 'pg_sleep pg_sleep_for pg_sleep_until' },
  { operation: 'sql.lock', reason: 'takes or gives up locks that others wait for', names: 'pg_advisory_* pg_try_advisory_*' },
  { operation: 'sql.lock', reason: 'takes a transaction number, as a write does', names: 'txid_current pg_current_xact_id' },
  { operation: 'sql.call', reason: 'runs SQL or reads a relation that is named inside a string',
    names: 'query_to_xml* cursor_to_xml* table_to_xml* schema_to_xml* database_to_xml* ts_stat ts_rewrite currtid2' },
  { operation: 'sql.call', reason: 'calls the functions of a type that is named by number or inside a string',
    names: 'array_in domain_in record_in range_in multirange_in enum_in any_in anyarray_in anyelement_in anyenum_in anynonarray_in anyrange_in anymultirange_in anycompatible_in shell_in cstring_in pg_input_is_valid pg_input_error_info' },
  { operation: 'sql.call', reason: 'shows samples of values that the planner keeps, or changes them',
    names: 'pg_mcv_list_* pg_ndistinct_* pg_dependencies_* brin_bloom_summary_* brin_minmax_multi_summary_* pg_clear_attribute_stats pg_clear_relation_stats pg_restore_attribute_stats pg_restore_relation_stats' },
  { operation: 'sql.call', reason: 'resets or steers statistics of the server', names: 'pg_stat_reset* pg_stat_force_next_flush pg_stat_clear_snapshot pg_stat_have_stats' },
  { operation: 'sql.call', reason: 'looks at or ends other sessions',
    names: 'pg_stat_get_activity pg_stat_get_backend_* pg_stat_get_progress_info pg_stat_get_wal_senders pg_stat_get_wal_receiver pg_stat_get_subscription pg_stat_get_subscription_stats pg_cancel_backend pg_terminate_backend pg_log_backend_memory_contexts pg_get_backend_memory_contexts pg_get_process_memory_contexts pg_blocking_pids pg_safe_snapshot_blocking_pids pg_isolation_test_session_is_blocked pg_lock_status pg_prepared_xact pg_get_shmem_allocations* pg_get_aios pg_get_multixact_members pg_numa_available' },
  { operation: 'sql.call', reason: 'tells texts as the gateway sent them, with values that tokens stand for', names: 'current_query pg_prepared_statement pg_cursor' },
  { operation: 'sql.replication', reason: 'works on the write-ahead log, backups or replication',
    names: 'pg_create_physical_replication_slot pg_create_logical_replication_slot pg_copy_physical_replication_slot pg_copy_logical_replication_slot pg_drop_replication_slot pg_replication_* pg_logical_* pg_get_replication_slots pg_stat_get_replication_slot pg_show_replication_origin_status pg_sync_replication_slots pg_create_restore_point pg_switch_wal pg_wal_replay_* pg_is_wal_replay_paused pg_get_wal_replay_pause_state pg_get_wal_resource_managers pg_current_wal_* pg_last_wal_* pg_last_xact_replay_timestamp pg_walfile_name pg_walfile_name_offset pg_split_walfile_name pg_wal_lsn_diff pg_start_backup pg_stop_backup pg_backup_start pg_backup_stop pg_is_in_backup pg_backup_start_time pg_log_standby_snapshot pg_stat_get_recovery_prefetch' },
  { operation: 'sql.call', reason: 'tells of other transactions, or shares a snapshot',
    names: 'txid_status pg_xact_status pg_xact_commit_timestamp pg_xact_commit_timestamp_origin pg_last_committed_xact pg_export_snapshot pg_snapshot_recv' },
  { operation: 'sql.call', reason: 'is for upgrades, maintenance, extensions and the server itself',
    names: 'binary_upgrade_* brin_desummarize_range brin_summarize_* gin_clean_pending_list pg_nextoid pg_stop_making_pinned_objects pg_extension_config_dump fmgr_*_validator plpgsql_validator postgresql_fdw_validator pg_event_trigger_* amvalidate' },
]

/** Relations of pg_catalog and information_schema that are no part of "reading the catalog". */
export const SENSITIVE: readonly { readonly reason: string; readonly names: string; /** Only with this column. */ readonly column?: string }[] = [
  { reason: 'holds password hashes', names: 'pg_authid pg_shadow' },
  { reason: 'holds credentials for other servers', names: 'pg_user_mapping user_mapping_options _pg_user_mappings' },
  { reason: 'holds credentials for other servers', names: 'pg_user_mappings', column: 'umoptions' },
  { reason: 'holds credentials for other servers', names: 'pg_subscription', column: 'subconninfo' },
  { reason: 'holds the contents of large objects, which masks do not reach', names: 'pg_largeobject' },
  { reason: 'holds samples of column values', names: 'pg_statistic pg_stats pg_statistic_ext_data pg_stats_ext pg_stats_ext_exprs' },
  { reason: 'shows texts as the gateway sent them', names: 'pg_prepared_statements pg_cursors', column: 'statement' },
  { reason: 'shows what other sessions do', names: 'pg_stat_activity pg_locks pg_prepared_xacts pg_stat_ssl pg_stat_gssapi pg_stat_replication pg_stat_wal_receiver pg_stat_subscription pg_stat_subscription_stats pg_stat_progress_* pg_stat_statements pg_stat_statements_info pg_shmem_allocations pg_shmem_allocations_numa pg_backend_memory_contexts pg_aios' },
  { reason: 'shows files and configuration of the server', names: 'pg_hba_file_rules pg_ident_file_mappings pg_file_settings pg_config' },
  { reason: 'shows the state of replication', names: 'pg_replication_slots pg_replication_origin pg_replication_origin_status pg_stat_replication_slots pg_stat_recovery_prefetch' },
]

interface Names { readonly exact: ReadonlyMap<string, number>; readonly prefixes: readonly (readonly [string, number])[] }
function index(groups: readonly { readonly names: string }[]): Names {
  const exact = new Map<string, number>()
  const prefixes: [string, number][] = []
  groups.forEach(({ names }, group) => {
    for (const name of names.split(' ')) if (name.endsWith('*')) prefixes.push([name.slice(0, -1), group]); else exact.set(name, group)
  })
  return { exact, prefixes }
}
function find(names: Names, name: string): number {
  const exact = names.exact.get(name)
  return exact ?? names.prefixes.find(([prefix]) => name.startsWith(prefix))?.[1] ?? -1
}
const excludedNames = index(EXCLUDED)
const sensitiveNames = index(SENSITIVE)
/** Why a built-in function is not harmless; null when no group names it. */
export const exclusionOf = (name: string): Exclusion | null => EXCLUDED[find(excludedNames, name)] ?? null
/** Why a system relation is not for everyone who may read; null when it is. */
export const sensitivityOf = (name: string): (typeof SENSITIVE)[number] | null => SENSITIVE[find(sensitiveNames, name)] ?? null
