// The catalog of a test server's database, loaded as a worker would load it.
import type pg from 'pg'
import type { Catalog } from '../../src/sql/catalog.ts'
import { catalogFrom, catalogQueries, type Row } from '../../src/sql/load.ts'
import { contextFrom, probeSql, type SessionState } from '../../src/sql/session.ts'

export async function loadCatalog(client: pg.Client, generation = 1): Promise<Catalog> {
  const version = Number((await client.query('SHOW server_version_num')).rows[0].server_version_num)
  const rows: Record<string, Row[]> = {}
  for (const { name, sql } of catalogQueries(version)) rows[name] = (await client.query({ text: sql, rowMode: 'array' })).rows as Row[]
  return catalogFrom(rows, version, generation)
}
export async function probe(client: pg.Client): Promise<SessionState> {
  return contextFrom((await client.query({ text: probeSql, rowMode: 'array' })).rows[0] as Row)
}
