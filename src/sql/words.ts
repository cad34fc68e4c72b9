// The server's object types as words of operations: `sql.create.materialized_view`. Some bring a second operation that policies name.
const WORDS: Readonly<Record<string, string>> = {
  AMOP: 'operator_family', AMPROC: 'operator_family', ATTRIBUTE: 'type', COLUMN: 'table', DEFAULT: 'table', DEFACL: 'default_privileges', DOMCONSTRAINT: 'domain',
  FDW: 'foreign_data_wrapper', FOREIGN_SERVER: 'server', LARGEOBJECT: 'large_object', MATVIEW: 'materialized_view', OPCLASS: 'operator_class', OPFAMILY: 'operator_family',
  PARAMETER_ACL: 'parameter', PUBLICATION_NAMESPACE: 'publication', PUBLICATION_REL: 'publication', STATISTIC_EXT: 'statistics', TABCONSTRAINT: 'table',
  TSCONFIGURATION: 'text_search_configuration', TSDICTIONARY: 'text_search_dictionary', TSPARSER: 'text_search_parser', TSTEMPLATE: 'text_search_template',
}
/** `OBJECT_MATVIEW` → `materialized_view`. */
export function wordOf(objectType: string | undefined): string {
  const bare = (objectType ?? 'OBJECT_UNKNOWN').replace(/^OBJECT_/, '')
  return WORDS[bare] ?? bare.toLowerCase()
}

/** The operation beside create, alter, drop and comment of such an object. */
export const BESIDE: Readonly<Record<string, string>> = {
  role: 'sql.role', extension: 'sql.extension', publication: 'sql.replication', subscription: 'sql.replication', server: 'sql.network',
  foreign_data_wrapper: 'sql.network', user_mapping: 'sql.network', database: 'sql.configure', tablespace: 'sql.configure', parameter: 'sql.configure',
  large_object: 'sql.file', language: 'sql.configure', event_trigger: 'sql.configure',
}
/** Object types whose names are relations'. */
export const RELATIONS = new Set(['table', 'view', 'materialized_view', 'sequence', 'index', 'foreign_table'])
