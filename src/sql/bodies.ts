// CREATE FUNCTION and CREATE PROCEDURE: what is made, and what its body would do. A body in SQL is read like any text; what other languages
// do shows only when it is called, and a call of anything unlisted is admin.
import type { CreateFunctionStmt } from 'libpg-query'
import { builtinOf } from './functions.ts'
import { parseShort } from './grammar.ts'
import { Reader } from './reader.ts'
import { resolve } from './resolve.ts'
import { as, firstUnknown, stringOf, stringsOf } from './walk.ts'

/** Bodies that make functions whose bodies make functions … */
const BODIES_DEEP_MAX = 8
let deep = 0

export function createFunction(body: CreateFunctionStmt, reader: Reader): boolean {
  const path = stringsOf(body.funcname) ?? []
  const name = path.at(-1) ?? ''
  const shown = reader.named(path)
  const option = (wanted: string) => as('DefElem', (body.options ?? []).find((one) => as('DefElem', one)?.defname === wanted))?.arg
  const language = (stringOf(option('language')) ?? (body.sql_body === undefined ? 'unknown' : 'sql')).toLowerCase()
  reader.changesCatalog = true
  reader.makes.functions.add(name)
  reader.add({ operation: body.is_procedure === true ? 'sql.create.procedure' : 'sql.create.function', access: 'admin', objects: [shown], language })
  if (language === 'c' || language === 'internal') reader.admin('sql.load', [shown], `LANGUAGE ${language} runs code of the server's own process`)
  if (builtinOf(reader.catalog.serverVersion).functions.has(name)) reader.admin('sql.configure', [shown], `${shown} would hide the built-in function of that name`)
  if (listedName(name, reader)) reader.admin('sql.configure', [shown], `${shown} has the name of a function that this resource lists as harmless`)
  else if (body.replace === true && reader.catalog.routines.has(name)) reader.admin('sql.call', [shown], `${shown} may exist: views, triggers and defaults would run the new body`)
  if (language === 'sql' && body.sql_body === undefined) stringBody(stringOf(as('List', option('as'))?.items?.[0]) ?? stringOf(option('as')), reader)
  return true
}

const listedName = (name: string, reader: Reader): boolean => [...reader.sight.listed].some((signature) => signature.slice(0, signature.indexOf('(')).split('.').at(-1) === name)

function stringBody(text: string | null, reader: Reader): void {
  const outcome = text === null || deep >= BODIES_DEEP_MAX ? null : parseShort(text)
  if (outcome?.kind !== 'tree') return reader.admin('sql.call', 'unknown', 'the body of the function cannot be read')
  deep += 1
  try {
    for (const { node } of outcome.statements) {
      if (firstUnknown(node) !== null) { reader.unknown('a part of the function\'s body is not known'); continue }
      const inner = new Reader(resolve(node, reader.catalog, reader.context), reader.sight, reader.options)
      inner.read(node)
      for (const effect of inner.effects) reader.add(effect)
      reader.makes.any ||= inner.makes.any
    }
  } finally { deep -= 1 }
}
