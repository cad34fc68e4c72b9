// Messages of the server that are known to hold names and type names only, never values. A message is such a one if the routine that
// raised it, its SQLSTATE and its whole text agree; text raised by functions comes from other routines. No patterns: texts are compared.

/** `"` stands for a quoted name; `#` for digits. */
const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  'ExecConstraints 23502': ['null value in column " of relation " violates not-null constraint'],
  'ReportNotNullViolationError 23502': ['null value in column " of relation " violates not-null constraint'],
  'ExecConstraints 23514': ['new row for relation " violates check constraint "'],
  'ExecPartitionCheckEmitError 23514': ['new row for relation " violates partition constraint'],
  'ExecFindPartition 23514': ['no partition of relation " found for row'],
  '_bt_check_unique 23505': ['duplicate key value violates unique constraint "'],
  'check_exclusion_or_unique_constraint 23P01': ['conflicting key value violates exclusion constraint "'],
  'ri_ReportViolation 23503': ['insert or update on table " violates foreign key constraint "', 'update or delete on table " violates foreign key constraint " on table "'],
  'ExecWithCheckOptions 42501': ['new row violates row-level security policy for table "'],
  'ExecWithCheckOptions 44000': ['new row violates check option for view "'],
  'varchar 22001': ['value too long for type character varying(#)'],
  'bpchar 22001': ['value too long for type character(#)'],
  'int4div 22012': ['division by zero'], 'int8div 22012': ['division by zero'], 'numeric_div 22012': ['division by zero'], 'div_var 22012': ['division by zero'],
  'aclcheck_error 42501': ['permission denied for table @', 'permission denied for schema @', 'permission denied for sequence @', 'permission denied for view @', 'permission denied for function @'],
  'PreventCommandIfReadOnly 25006': ['cannot execute INSERT in a read-only transaction', 'cannot execute UPDATE in a read-only transaction', 'cannot execute DELETE in a read-only transaction', 'cannot execute MERGE in a read-only transaction'],
  'ProcessInterrupts 57014': ['canceling statement due to user request', 'canceling statement due to statement timeout', 'canceling statement due to lock timeout'],
  'ProcessInterrupts 57P01': ['terminating connection due to administrator command'],
  'DeadLockReport 40P01': ['deadlock detected'],
  'XactLockTableWait 55P03': ['could not obtain lock on row in relation "'],
  'ExecUpdate 40001': ['could not serialize access due to concurrent update', 'could not serialize access due to concurrent delete'],
  'ExecLockRows 40001': ['could not serialize access due to concurrent update', 'could not serialize access due to concurrent delete'],
}
/** Raised while a text is analysed, before anything runs: what they name stands in the text. Not when the text is one of a function. */
const ANALYSIS = new Set(['parserOpenTable 42P01', 'errorMissingRTE 42P01', 'errorMissingColumn 42703', 'checkInsertTargets 42703', 'transformUpdateTargetList 42703', 'colNameToVar 42702', 'scanRTEForColumn 42702', 'ParseFuncOrColumn 42883', 'op_error 42883',
  'scanner_yyerror 42601', 'transformInsertRow 42601', 'transformAssignedExpr 42804', 'exec_simple_query 25P02', 'exec_parse_message 25P02', 'exec_bind_message 25P02', 'exec_execute_message 25P02'])

export interface Said { readonly code: string; readonly routine: string; readonly message: string; /** Said within a function or an inner query. */ readonly nested: boolean }

export function saysOnlyNames({ code, routine, message, nested }: Said): boolean {
  const key = `${routine} ${code}`
  if (ANALYSIS.has(key)) return !nested
  return (TEMPLATES[key] ?? []).some((template) => follows(template, message))
}

/** Whether a text is its template with names and digits filled in. */
export function follows(template: string, text: string): boolean {
  let at = 0
  for (const character of template) {
    if (character === '"') {
      const close = text[at] === '"' ? text.indexOf('"', at + 1) : -1
      if (close < 0 || close - at > 65) return false
      at = close + 1
    } else if (character === '#') {
      const first = at
      while (at < text.length && at - first < 9 && text.charCodeAt(at) >= 48 && text.charCodeAt(at) <= 57) at++
      if (at === first) return false
    } else if (character === '@') {
      const first = at
      while (at < text.length && at - first < 64 && (isWord(text.charCodeAt(at)))) at++
      if (at === first) return false
    } else if (text[at++] !== character) return false
  }
  return at === text.length
}
const isWord = (code: number) => (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || (code >= 48 && code <= 57) || code === 95 || code === 36 || code > 127
