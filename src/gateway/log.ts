// The gateway's own log: JSON lines on stderr, never values, tokens or statements: those are the record's.
import { pino } from 'pino'

export const log = pino({ level: process.env.SLUICE_LOG ?? 'info', base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }))
