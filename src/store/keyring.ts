// Sealing keys on disk (`<data>/keys/seal.key` for secrets), 0600, one `id base64` per line, the first is the one that seals. Written whole
// to a new file that then takes the old one's place, so that no kill leaves half a key.
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { SluiceError } from '../core/errors.ts'
import { newSealKey, SEAL_KEY_BYTES, type SealKey } from './seal.ts'

const FILE = 'seal.key'

/** Reads the keys in `folder`, making the first one when there is none. */
export function openKeyring(folder: string, name = FILE): SealKey[] {
  const path = join(folder, name)
  if (!existsSync(path)) {
    const keys = [newSealKey()]
    writeKeyring(folder, keys, name)
    return keys
  }
  if ((statSync(path).mode & 0o077) !== 0) throw new SluiceError('KEY_EXPOSED', `${path} may be read by others: chmod 600 it, and rotate the key`)
  return parseKeys(readFileSync(path, 'utf8'), path)
}

export function writeKeyring(folder: string, keys: readonly SealKey[], name = FILE): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, name)
  const file = openSync(`${path}.new`, 'w', 0o600)
  try {
    writeSync(file, keys.map(({ id, key }) => `${id} ${key.toString('base64')}\n`).join(''))
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(`${path}.new`, path)
  const directory = openSync(dirname(path), 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

function parseKeys(text: string, path: string): SealKey[] {
  const keys = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [id, encoded, ...rest] = line.split(' ')
      const key = Buffer.from(encoded ?? '', 'base64')
      if (!/^[0-9a-f]{12}$/.test(id!) || key.length !== SEAL_KEY_BYTES || rest.length > 0)
        throw new SluiceError('KEY_INVALID', `${path} is damaged: restore it from its backup`)
      return { id: id!, key }
    })
  if (keys.length === 0) throw new SluiceError('KEY_INVALID', `${path} is empty: restore it from its backup`)
  return keys
}
