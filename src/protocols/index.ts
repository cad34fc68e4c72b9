// The list of protocols: adding one adds a line here, a folder, a server for tests and a row in the conformance suite.
import { http } from './http/serve.ts'
import { postgres } from './postgres/serve.ts'
import type { HttpProtocol, Protocol } from './protocol.ts'

export const protocols: readonly Protocol[] = [postgres]
/** Served on the proxy's port, under `/NAME/RESOURCE`. */
export const httpProtocols: readonly HttpProtocol[] = [http]
