// Seals a secret for the control store: AES-256-GCM under a key that is never in it. Pure. The secret's name and the key's id are
// authenticated, so that a sealed value works neither under another name nor under another key.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { SluiceError } from '../core/errors.ts'

const VERSION = 1
const NONCE_BYTES = 12
const TAG_BYTES = 16
export const SEAL_KEY_BYTES = 32
export const SECRET_BYTES_MAX = 65_536

export interface SealKey {
  readonly id: string
  readonly key: Buffer
}
export interface Sealed {
  readonly keyId: string
  readonly bytes: Buffer
}

/** Neither the value nor why it failed to open: the two are the same to whoever tries. */
export class SealBroken extends SluiceError {
  constructor(name: string) {
    super('SEAL_BROKEN', `the sealed secret ${name} does not open with this gateway's key`, { public: false })
  }
}

export function newSealKey(): SealKey {
  return { id: randomBytes(6).toString('hex'), key: randomBytes(SEAL_KEY_BYTES) }
}

export function seal(key: SealKey, name: string, secret: Buffer): Sealed {
  if (secret.length > SECRET_BYTES_MAX) throw new SluiceError('TOO_LARGE', `a secret may have at most ${SECRET_BYTES_MAX} bytes`)
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key.key, nonce, { authTagLength: TAG_BYTES }).setAAD(context(key.id, name))
  const body = Buffer.concat([cipher.update(secret), cipher.final()])
  return { keyId: key.id, bytes: Buffer.concat([Buffer.of(VERSION), nonce, body, cipher.getAuthTag()]) }
}

export function unseal(keys: readonly SealKey[], name: string, sealed: Sealed): Buffer {
  const key = keys.find(({ id }) => id === sealed.keyId)
  const { bytes } = sealed
  if (key === undefined || bytes.length < 1 + NONCE_BYTES + TAG_BYTES || bytes[0] !== VERSION) throw new SealBroken(name)
  const end = bytes.length - TAG_BYTES
  try {
    const decipher = createDecipheriv('aes-256-gcm', key.key, bytes.subarray(1, 1 + NONCE_BYTES), { authTagLength: TAG_BYTES }).setAAD(context(key.id, name))
    decipher.setAuthTag(bytes.subarray(end))
    return Buffer.concat([decipher.update(bytes.subarray(1 + NONCE_BYTES, end)), decipher.final()])
  } catch {
    throw new SealBroken(name)
  }
}

/** Lengths first: no two pairs of id and name give the same bytes. */
function context(keyId: string, name: string): Buffer {
  return Buffer.from(JSON.stringify(['sluice secret', VERSION, keyId, name]))
}
