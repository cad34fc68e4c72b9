// The keys that recordings are sealed under: `<data>/keys/recordings.key`, the first one seals. A key stays as long as something may be
// sealed under it, so that turning keys over loses nothing. Workers never have them.
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { openKeyring, writeKeyring } from '../keyring.ts'
import { newSealKey, type SealKey } from '../seal.ts'
import { noKey } from './scan.ts'
import { openerOf, type Opener } from './sealed.ts'

const FILE = 'recordings.key'
/** After this a new key seals; the others go on opening. */
export const SEAL_KEY_MS_MAX = 90 * 24 * 3_600_000

/** Makes the first one when there is none, and a new one when the first is old. */
export function openSealKeys(folder: string, nowMs = Date.now()): SealKey[] {
  const keys = openKeyring(folder, FILE)
  if (nowMs - statSync(join(folder, FILE)).mtimeMs < SEAL_KEY_MS_MAX) return keys
  const all = [newSealKey(), ...keys]
  writeKeyring(folder, all, FILE)
  return all
}
/** For who reads on the gateway's host: opens what the keys there open, and nothing when there are none. */
export function recordOpener(folder: string): Opener { return existsSync(join(folder, FILE)) ? openerOf(openKeyring(folder, FILE)) : noKey }
