// The installation's own keys: one names values in the record and makes hashes in masks, so that neither can be searched by a guess; one makes
// tokens. Who loses that one can turn no token back.
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const KEY_BYTES = 32
/** Hex. Made at the first start, 0600. */
export function installationKey(keys: string, name: 'hash.key' | 'token.key' = 'hash.key'): string {
  const file = join(keys, name)
  if (!existsSync(file)) { mkdirSync(keys, { recursive: true, mode: 0o700 }); writeFileSync(file, randomBytes(KEY_BYTES).toString('hex'), { mode: 0o600, flag: 'wx' }) }
  return readFileSync(file, 'utf8').trim()
}
