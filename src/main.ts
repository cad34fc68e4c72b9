// Wires everything: what `sluice gateway`, `sluice demo` and the tests start.
export { type Gateway, startGateway } from './gateway/supervisor.ts'
