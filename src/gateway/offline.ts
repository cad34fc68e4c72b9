// A text read without a database: what `sluice policy explain` can say of a statement's effects when no session is there.
import type { Statement } from '../core/statement.ts'
import type { Catalog } from '../sql/catalog.ts'
import { effectsOf } from '../sql/effects.ts'
import { parse } from '../sql/grammar.ts'

const EMPTY: Catalog = { serverVersion: 180000, generation: 0, relations: new Map(), byName: new Map(), routines: new Map(), routineById: new Map(), operators: new Map(), types: new Map(), schemas: new Set(['public']) }

export async function statementOf(text: string): Promise<Statement> {
  const outcome = await parse(text)
  const effects = outcome.kind === 'tree'
    ? effectsOf(outcome, EMPTY, { searchPath: ['pg_catalog', 'public'], temporary: new Map() }).flatMap((r) => r.effects)
    : [{ operation: 'sql.unread', access: 'unknown' as const, objects: 'unknown' as const, columns: [], bounded: false, reason: outcome.kind === 'syntax' ? outcome.message : outcome.reason }]
  return { text, effects, shown: text, masking: null, rowsMax: Infinity, exempt: false, single: false, guarded: false }
}
