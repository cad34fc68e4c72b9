// The list of protocols: adding one adds a line here, a folder, a server for tests and a row in the conformance suite.
import { postgres } from './postgres/serve.ts'
import type { Protocol } from './protocol.ts'

export const protocols: readonly Protocol[] = [postgres]
