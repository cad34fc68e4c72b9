// A segment sealed at rest: header, u32 length and text of a JSON block, then its frames as one zstd stream under AES-256-GCM with a key
// of its own (header and block authenticated), the tag, and the gateway's signature over all before. The block says where the plain
// segment ends, so that who has no key can still prove it. The key is in the block, sealed under the installation's key for recordings.
import { createDecipheriv, type KeyObject, verify as verifySignature } from 'node:crypto'
import { zstdDecompressSync } from 'node:zlib'
import { type SealKey, unseal } from '../seal.ts'
import { EVENT_BYTES_MAX, logName, type SegmentHeader, sha256 } from './layout.ts'

export const TAG_BYTES = 16
export const SIGNATURE_BYTES = 64
export const NONCE_BYTES = 12
const BLOCK_BYTES_MAX = 4_096
/** A segment may pass its size by what was in flight when it was reached. */
export const PLAIN_BYTES_MAX = 128 * 1024 * 1024 + EVENT_BYTES_MAX * 2

export interface Block {
  /** The segment's key, sealed: under which key, and the bytes in base64. */
  readonly keyId: string
  readonly key: string
  readonly nonce: string
  /** Of the plain segment: its last batch, that one's hash, its length, the youngest event. */
  readonly batches: number
  readonly hash: string
  readonly bytes: number
  readonly lastMs: number
}
/** Gives the key of a sealed segment, or null to who has none. */
export type Opener = (name: string, block: Block) => Buffer | null
export interface Keys { readonly signing: (hash: Buffer) => Buffer; readonly sealing: readonly SealKey[] }

export const sealName = (header: SegmentHeader): string => `recording ${logName(header.resource, header.writer)}/${header.segment}`
export const openerOf = (keys: readonly SealKey[]): Opener => (name, block) => {
  try { return unseal(keys, name, { keyId: block.keyId, bytes: Buffer.from(block.key, 'base64') }) } catch { return null }
}
export const signedOf = (hash: Buffer): Buffer => Buffer.concat([Buffer.from('sluice sealed segment\n'), hash])

export interface SealedParts { readonly block: Block; readonly bodyAt: number; readonly bodyEnd: number }
/** The block of a sealed segment whose header ends at `start`; null when it is none. `size`: of the whole file, when only its beginning is here. */
export function readBlock(bytes: Buffer, start: number, size = bytes.length): SealedParts | null {
  if (bytes.length < start + 4) return null
  const length = bytes.readUInt32LE(start)
  const bodyAt = start + 4 + length, bodyEnd = size - SIGNATURE_BYTES - TAG_BYTES
  if (length > BLOCK_BYTES_MAX || bodyAt > bytes.length || bodyAt > bodyEnd) return null
  let value: unknown
  try { value = JSON.parse(bytes.toString('utf8', start + 4, bodyAt)) } catch { return null }
  if (typeof value !== 'object' || value === null) return null
  const { keyId, key, nonce, batches, hash, bytes: plain, lastMs } = value as Record<string, unknown>
  if (typeof keyId !== 'string' || typeof key !== 'string' || typeof nonce !== 'string' || typeof hash !== 'string' || typeof batches !== 'number' || typeof plain !== 'number' || typeof lastMs !== 'number') return null
  return { block: { keyId, key, nonce, batches, hash, bytes: plain, lastMs }, bodyAt, bodyEnd }
}
export function isSealedBy(bytes: Buffer, publicKey: KeyObject): boolean {
  const end = bytes.length - SIGNATURE_BYTES
  return end > 0 && verifySignature(null, signedOf(sha256(bytes.subarray(0, end))), publicKey, bytes.subarray(end))
}
/** The plain segment, its header included; null when it does not open with this key. */
export function unsealed(bytes: Buffer, start: number, { block, bodyAt, bodyEnd }: SealedParts, key: Buffer): Buffer | null {
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(block.nonce, 'base64'), { authTagLength: TAG_BYTES }).setAAD(bytes.subarray(0, bodyAt))
    decipher.setAuthTag(bytes.subarray(bodyEnd, bodyEnd + TAG_BYTES))
    const packed = Buffer.concat([decipher.update(bytes.subarray(bodyAt, bodyEnd)), decipher.final()])
    const frames = zstdDecompressSync(packed, { maxOutputLength: PLAIN_BYTES_MAX })
    return start + frames.length === block.bytes ? Buffer.concat([bytes.subarray(0, start), frames]) : null
  } catch { return null }
}
