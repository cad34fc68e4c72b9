// Parses long texts for grammar.ts in a thread of its own. Answers null, and is then ended, when the parser failed in any way but a syntax error.
import { createRequire } from 'node:module'
import { parentPort } from 'node:worker_threads'
import { parseWith } from './grammar.ts'

const library = (createRequire(import.meta.url)('libpg-query/wasm/libpg-query.js') as () => Promise<Parameters<typeof parseWith>[0]>)()

parentPort?.on('message', (text: string) => {
  void library.then((instance) => {
    try { parentPort?.postMessage(parseWith(instance, text)) } catch { parentPort?.postMessage(null) }
  })
})
