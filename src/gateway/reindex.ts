// A process that makes the index of sessions again from the record, and ends. It reads recordings and writes to the store only.
import { setPriority } from 'node:os'
import type { StoreAddress } from '../store/database.ts'
import { openerOf, rebuildIndex, RecordReader } from '../store/record/index.ts'
import type { SealKey } from '../store/seal.ts'
import { openStore } from '../store/store.ts'
import { log } from './log.ts'

const LOW_PRIORITY = 10

process.on('disconnect', () => process.exit(0))
process.once('message', (message) => {
  const { store: address, recordings, keys, bootedAtMs } = message as { store: StoreAddress; recordings: string; keys: readonly { id: string; key: Uint8Array }[]; bootedAtMs: number }
  run(address, recordings, keys.map(({ id, key }) => ({ id, key: Buffer.from(key) })), bootedAtMs).then(() => process.exit(0), (error: unknown) => { log.error({ error: error instanceof Error ? error.message : String(error) }, 'the index of sessions could not be made again'); process.exit(1) })
})

async function run(address: StoreAddress, recordings: string, keys: readonly SealKey[], bootedAtMs: number): Promise<void> {
  setPriority(LOW_PRIORITY)
  const store = await openStore(address, { migrate: false })
  try {
    // Sessions since the start come into the index when they close.
    const sessions = await rebuildIndex(new RecordReader(recordings, openerOf(keys)), (rows) => store.sessions.put(rows.filter((row) => row.startedAtMs < bootedAtMs).map((row) => row.endedAtMs === null ? { ...row, endedWhy: 'its gateway ended without closing it' } : row)))
    log.info({ sessions }, 'the index of sessions was made again from the record')
  } finally { await store.close() }
}
