import net from 'node:net'
import { startUp, cancelRequest } from './messages.ts'
export interface Upstream { socket: net.Socket; parameters: Map<string,string>; early: Buffer; backendKey: {pid:number; secret: Buffer}; address: any }
export async function connectUpstream(o: any): Promise<Upstream> {
  const a = o.addresses[0]
  const socket = net.connect({ host: a.host, port: a.port, noDelay: true })
  await new Promise((r, f) => { socket.once('connect', r); socket.once('error', f) })
  socket.write(startUp(0x30000, [['user', o.username], ['database', o.database], ...o.parameters]))
  let buf = Buffer.alloc(0); const parameters = new Map<string,string>(); let key: any
  for (;;) {
    const c: Buffer = await new Promise((r, f) => { socket.once('data', r); socket.once('close', () => f(new Error('closed'))) })
    socket.pause()
    buf = Buffer.concat([buf, c])
    while (buf.length >= 5 && buf.length >= 1 + buf.readUInt32BE(1)) {
      const l = 1 + buf.readUInt32BE(1), t = String.fromCharCode(buf[0]!), b = buf.subarray(5, l); buf = buf.subarray(l)
      if (t === 'S') { const [k, v] = b.toString().split('\0'); parameters.set(k!, v!) }
      if (t === 'K') key = { pid: b.readUInt32BE(0), secret: Buffer.from(b.subarray(4)) }
      if (t === 'E') throw new Error(b.toString())
      if (t === 'Z') return { socket, parameters, early: Buffer.from(buf), backendKey: key, address: a }
    }
    socket.resume()
  }
}
export async function cancelUpstream(u: Upstream): Promise<void> {
  await new Promise<void>((r) => { const s = net.connect(u.address, () => s.end(cancelRequest(u.backendKey))); s.on('close', () => r()); s.on('error', () => r()) })
}
