// Loaded into every process of a gateway under test (NODE_OPTIONS=--import): its wall clock is off by what a file says, so that it can jump.
import { readFileSync } from 'node:fs'
const [real, file] = [Date.now, process.env.SLUICE_TEST_CLOCK]
let offMs = 0
const look = () => { try { offMs = Number(readFileSync(file, 'utf8')) || 0 } catch { /* not yet */ } }
look()
setInterval(look, 50).unref()
Date.now = () => real() + offMs
