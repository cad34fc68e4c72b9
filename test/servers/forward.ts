// A TCP path that a test cuts, stalls and mends: in front of a server that must seem to be away.
import { connect, createServer, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'

export interface Forward {
  readonly port: number
  /** Ends what is open and refuses what comes. */
  cut(): void
  /** Takes connections and says nothing. */
  stall(): void
  mend(): void
  stop(): void
}
export async function startForward(to: number): Promise<Forward> {
  let how: 'through' | 'cut' | 'stalled' = 'through'
  const open = new Set<Socket>()
  const server = createServer((client) => {
    client.on('error', () => {})
    open.add(client)
    client.once('close', () => open.delete(client))
    if (how === 'cut') { client.destroy(); return }
    if (how === 'stalled') return
    const upstream = connect(to, '127.0.0.1')
    upstream.on('error', () => client.destroy())
    client.once('close', () => upstream.destroy())
    upstream.once('close', () => client.destroy())
    client.on('data', (bytes) => { if (how !== 'stalled') upstream.write(bytes) })
    upstream.on('data', (bytes) => { if (how !== 'stalled') client.write(bytes) })
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  return {
    port: (server.address() as AddressInfo).port,
    cut() { how = 'cut'; for (const one of open) one.destroy() },
    stall() { how = 'stalled' },
    mend() { how = 'through'; for (const one of open) one.destroy() },
    stop() { how = 'cut'; for (const one of open) one.destroy(); server.close() },
  }
}
