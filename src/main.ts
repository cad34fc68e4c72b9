// Wires everything: what `sluice gateway`, `sluice demo` and the tests start, and what the program answers without a gateway.
export { type Gateway, startGateway } from './gateway/supervisor.ts'
export { explainOffline, type Supposed } from './gateway/explain-offline.ts'
export { readsFilters } from './gateway/filters.ts'
export { hashSecret } from './auth/break-glass.ts'
export { replayOffline } from './gateway/replay-offline.ts'
