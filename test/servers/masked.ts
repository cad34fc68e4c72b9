// A session that sends what the masks make of a text, and nothing else: for tests of masks without the gateway around them.
import type pg from 'pg'
import type { Catalog, NameContext } from '../../src/sql/catalog.ts'
import { effectsOf } from '../../src/sql/effects.ts'
import { parse, ready } from '../../src/sql/grammar.ts'
import { maskAtRead, type MaskResult } from '../../src/sql/mask.ts'
import type { MaskOf } from '../../src/sql/mask-index.ts'
import { loadCatalog, probe } from './catalog.ts'
import type { TestServer } from './postgres.ts'

export interface MaskedRun { readonly result: MaskResult; readonly rows: readonly (readonly unknown[])[]; readonly fields: readonly pg.FieldDef[]; readonly error: string | null; readonly notices: readonly string[] }
export class MaskedSession {
  readonly client: pg.Client
  readonly #own: pg.Client
  readonly #masked: MaskOf
  catalog: Catalog
  context: NameContext
  constructor(client: pg.Client, own: pg.Client, catalog: Catalog, context: NameContext, masked: MaskOf) { this.client = client; this.#own = own; this.catalog = catalog; this.context = context; this.#masked = masked }

  static async open(server: TestServer, database: string, user: string, masked: MaskOf): Promise<MaskedSession> {
    await ready()
    const own = await server.client(database)
    const client = await server.client(database, user)
    return new MaskedSession(client, own, await loadCatalog(own), await probe(client), masked)
  }
  async refresh(): Promise<void> { this.catalog = await loadCatalog(this.#own, this.catalog.generation + 1); this.context = await probe(this.client) }
  async mask(text: string, unknownCall: string | null = null): Promise<MaskResult> {
    const tree = await parse(text)
    if (tree.kind !== 'tree') return { kind: 'refused', rule: 'syntax', message: tree.kind === 'syntax' ? tree.message : tree.reason, hint: '' }
    const followed = effectsOf(tree, this.catalog, this.context, { functions: this.#masked.listed?.functions ?? [] }).flatMap((reading) => [...reading.followed])
    const result = maskAtRead({ text, tree, catalog: this.catalog, context: this.context, masked: this.#masked, unknownCall, followed })
    // Nobody is asked here.
    return result.kind !== 'refused' && result.review !== undefined ? { kind: 'refused', ...result.review } : result
  }
  /** Runs what the masks make of it; nothing when they refuse. */
  async run(text: string, values?: unknown[]): Promise<MaskedRun> {
    const result = await this.mask(text)
    if (result.kind === 'refused') return { result, rows: [], fields: [], error: null, notices: [] }
    const sent = result.kind === 'rewritten' ? result.text : text
    const notices: string[] = []
    const hear = (notice: { message?: string | undefined; detail?: string | undefined }) => { notices.push(`${notice.message} ${notice.detail ?? ''}`) }
    this.client.on('notice', hear)
    try {
      const made = await this.client.query({ text: sent, rowMode: 'array', ...(values === undefined ? {} : { values }) }) as unknown as pg.QueryArrayResult | pg.QueryArrayResult[]
      const all = Array.isArray(made) ? made : [made]
      return { result, rows: all.flatMap((one) => one.rows ?? []), fields: all.flatMap((one) => one.fields ?? []), error: null, notices }
    } catch (error) {
      const e = error as { message: string; detail?: string; hint?: string; where?: string; internalQuery?: string }
      return { result, rows: [], fields: [], error: [e.message, e.detail, e.hint, e.where, e.internalQuery].filter(Boolean).join(' | '), notices }
    } finally { this.client.off('notice', hear) }
  }
  async close(): Promise<void> { await this.client.end(); await this.#own.end() }
}
