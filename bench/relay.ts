// The least a gateway in Node can be: bytes from one socket to another, nothing read. Run as a process of its own: relay.ts PORT TARGET_PORT.
import { connect, createServer } from 'node:net'

const BACKLOG = 4_096
const [port, target] = process.argv.slice(2).map(Number)
createServer({ noDelay: true }, (client) => {
  const server = connect({ host: '127.0.0.1', port: target!, noDelay: true })
  client.pipe(server)
  server.pipe(client)
  for (const [from, to] of [[client, server], [server, client]] as const) { from.on('error', () => to.destroy()); from.on('close', () => to.destroy()) }
}).listen(port, '127.0.0.1', BACKLOG, () => console.log('ready'))
