// A client that runs statements without ever asking for their description: it gets its rows masked, and no message that it did not ask for.
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { type Stage, startStage } from './stage.ts'

let stage: Stage
before(async () => { stage = await startStage() })
after(async () => { await stage?.stop() })

interface Wire extends EventEmitter {
  parse(query: { name: string; text: string }): void
  bind(query: { statement: string; portal?: string; values?: unknown[]; binary?: boolean; valueMapper?: unknown }): void
  describe(what: { type: 'S' | 'P'; name: string }): void
  execute(query: { portal?: string; rows?: number }): void
  close(what: { type: 'S' | 'P'; name: string }): void
  sync(): void
}
const MESSAGES = ['parseComplete', 'bindComplete', 'closeComplete', 'rowDescription', 'noData', 'dataRow', 'portalSuspended', 'commandComplete', 'errorMessage'] as const

async function everyShop(body: (ask: (send: (wire: Wire) => void) => Promise<string[]>) => Promise<void>): Promise<void> {
  for (const shop of stage.shops) {
    const client = new pg.Client({ host: '127.0.0.1', port: stage.gateway.port, database: shop.name, user: 'someone', password: stage.tokens.agents })
    await client.connect()
    const wire = (client as unknown as { connection: Wire }).connection
    for (const name of [...MESSAGES, 'readyForQuery']) wire.removeAllListeners(name)
    await body((send) => new Promise((done) => {
      const seen: string[] = []
      for (const name of MESSAGES) wire.removeAllListeners(name).on(name, (message: { fields?: (Buffer | null)[]; text?: string; code?: string }) => { seen.push([name, ...(name === 'dataRow' ? message.fields!.map(String) : []), message.text ?? message.code ?? ''].join(' ').trim()) })
      wire.once('readyForQuery', () => done(seen))
      send(wire)
      wire.sync()
    }))
    client.on('error', () => {})
    wire.removeAllListeners()
    ;(wire as unknown as { stream: { destroy(): void } }).stream.destroy()
  }
}

test('rows without a description are masked, in text and binary, in pieces, over many runs and several portals', async () => {
  await everyShop(async (ask) => {
    const first = await ask((wire) => { wire.parse({ name: 's', text: 'SELECT id::text, ssn, notes FROM customers ORDER BY id' }); wire.bind({ statement: 's' }); wire.execute({ rows: 2 }); wire.execute({ rows: 0 }) })
    assert.deepEqual(first, ['parseComplete', 'bindComplete', 'dataRow 1 [hidden] call after six', 'dataRow 2 [hidden] his number is [hidden]', 'portalSuspended', 'dataRow 3 null null', 'commandComplete SELECT 1'])
    for (const binary of [true, false, true]) {
      const again = await ask((wire) => { wire.bind({ statement: 's', portal: 'a', binary }); wire.bind({ statement: 's', portal: 'b' }); wire.execute({ portal: 'b', rows: 1 }); wire.execute({ portal: 'a', rows: 1 }) })
      assert.deepEqual(again, ['bindComplete', 'bindComplete', 'dataRow 1 [hidden] call after six', 'portalSuspended', 'dataRow 1 [hidden] call after six', 'portalSuspended'])
    }
    const described = await ask((wire) => { wire.describe({ type: 'S', name: 's' }); wire.bind({ statement: 's' }); wire.execute({ rows: 1 }); wire.bind({ statement: 's' }); wire.describe({ type: 'P', name: '' }); wire.execute({ rows: 1 }) })
    assert.deepEqual(described, ['rowDescription', 'bindComplete', 'dataRow 1 [hidden] call after six', 'portalSuspended', 'bindComplete', 'rowDescription', 'dataRow 1 [hidden] call after six', 'portalSuspended'])
  })
})

test('statements without rows, errors and refusals leave nothing behind that was not asked for', async () => {
  await everyShop(async (ask) => {
    for (let run = 0; run < 2; run++) {
      const written = await ask((wire) => { wire.parse({ name: '', text: 'UPDATE jottings SET body = NULL WHERE id = 0' }); wire.bind({ statement: '' }); wire.execute({}) })
      assert.deepEqual(written, ['parseComplete', 'bindComplete', 'commandComplete UPDATE 0'])
    }
    const failed = await ask((wire) => { wire.parse({ name: '', text: 'SELECT ssn, 1 / (id - 2) FROM customers ORDER BY id' }); wire.bind({ statement: '' }); wire.execute({}); wire.execute({}) })
    assert.deepEqual(failed.map((line) => line.split(' ')[0]), ['parseComplete', 'bindComplete', ...failed.includes('dataRow [hidden] -1') ? ['dataRow'] : [], 'errorMessage'])
    assert.match(failed.at(-1)!, /22012/)
    const refused = await ask((wire) => { wire.parse({ name: '', text: 'DROP TABLE orders' }); wire.bind({ statement: '' }); wire.execute({}) })
    assert.deepEqual(refused, ['errorMessage 42501'])
    const missing = await ask((wire) => { wire.bind({ statement: 'nowhere' }); wire.execute({}) })
    assert.deepEqual(missing, ['errorMessage 26000'])
    const after = await ask((wire) => { wire.parse({ name: '', text: 'SELECT ssn FROM customers WHERE id = 1' }); wire.bind({ statement: '' }); wire.execute({}) })
    assert.deepEqual(after, ['parseComplete', 'bindComplete', 'dataRow [hidden]', 'commandComplete SELECT 1'])
  })
})
