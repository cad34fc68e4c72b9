// Small readings of options and object names that DDL statements share.
import type { DropStmt, Node } from 'libpg-query'
import type { Reader } from './reader.ts'
import { as, kindOf, stringOf, stringsOf } from './walk.ts'
import { BESIDE, RELATIONS, wordOf } from './words.ts'

/** The text of a named option; null when absent or no plain text. The last one counts. */
export function optionOf(options: readonly Node[] | undefined, name: string): string | null {
  let found: string | null = null
  for (const option of options ?? []) {
    const body = as('DefElem', option)
    if (body?.defname === name) found = stringOf(body.arg)
  }
  return found
}

/** Whether EXPLAIN runs its statement: any ANALYZE that isn't clearly off. */
export function executesIt(options: readonly Node[] | undefined): boolean {
  return (options ?? []).some((option) => {
    const body = as('DefElem', option)
    if (body?.defname !== 'analyze') return false
    const text = stringOf(body.arg)
    const number = as('Integer', body.arg)
    if (number !== null) return (number.ival ?? 0) !== 0
    return text === null || !/^(false|off)$/i.test(text)
  })
}

/** The names an object is given by, in any of the forms the grammar has for it. */
export function pathsOf(object: Node | undefined): string[][] {
  switch (kindOf(object)) {
    case 'String': return [[stringOf(object)!]]
    case 'List': {
      const items = as('List', object)?.items ?? []
      const path = stringsOf(items)
      return path !== null ? [path] : items.flatMap(pathsOf)
    }
    case 'TypeName': return [stringsOf(as('TypeName', object)?.names) ?? []]
    case 'ObjectWithArgs': return [stringsOf(as('ObjectWithArgs', object)?.objname) ?? []]
    default: return []
  }
}

/** Objects that hang on a table are written `table.name`. */
const ON_TABLE = new Set(['trigger', 'rule', 'policy'])

export function drop({ objects, removeType }: DropStmt, reader: Reader): void {
  const word = wordOf(removeType)
  const names: (string | null)[] = []
  for (const path of (objects ?? []).flatMap(pathsOf)) {
    const name = path.at(-1) ?? ''
    if (RELATIONS.has(word)) { names.push(word === 'index' ? reader.named(path) : reader.relationNamed(path)); reader.makes.relations.add(name) }
    else if (ON_TABLE.has(word)) names.push(reader.relationNamed(path.slice(0, -1)))
    else names.push(reader.named(path))
    reader.makes.functions.add(name)
    reader.makes.types.add(name)
    reader.makes.operators.add(name)
  }
  if (word === 'schema') reader.makes.any = true
  reader.changesCatalog = true
  const known = names.includes(null) ? 'unknown' as const : names as string[]
  reader.admin(`sql.drop.${word}`, known)
  const beside = BESIDE[word]
  if (beside !== undefined) { reader.admin(beside, known); reader.makes.any = true }
}
