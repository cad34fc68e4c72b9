// Content codings (RFC 9110, section 8.4): undone to look into a body, done again for what goes out. Unknown ones are refused by whoever looks.
import { promisify } from 'node:util'
import type { Transform } from 'node:stream'
import zlib from 'node:zlib'
import { ContentRefused } from './hider.ts'

/** Codings on top of one another. */
const CODINGS_MAX = 2
/** What a body may grow to beyond this is held to the ratio below. */
const FREE_BYTES = 8 * 1024 * 1024
/** Decoded bytes for one coded byte, beyond FREE_BYTES: text reaches 20, a bomb 1,000. */
const RATIO_MAX = 200
/** What we ask upstreams for, of what the client takes. */
export const CODINGS = ['gzip', 'br', 'zstd', 'deflate'] as const
export type Coding = (typeof CODINGS)[number]

/** The codings in the order they were applied. Throws ContentRefused on one that is not known. */
export function codingsOf(header: string | undefined): readonly Coding[] {
  const names = (header ?? '').split(',').map((name) => name.trim().toLowerCase()).filter((name) => name !== '' && name !== 'identity').map((name) => (name === 'x-gzip' ? 'gzip' : name))
  if (names.length > CODINGS_MAX) throw new ContentRefused(`it is coded more than ${CODINGS_MAX} times`)
  return names.map((name) => { if (!(CODINGS as readonly string[]).includes(name)) throw new ContentRefused(`its coding \`${name.slice(0, 40)}\` is not known here`); return name as Coding })
}

type Options = { maxOutputLength: number; info: true }
type Informed = { buffer: Buffer; engine: { bytesWritten: number } }
const whole: Readonly<Record<Coding, (bytes: Buffer, options: Options) => Promise<Buffer>>> = {
  gzip: promisify(zlib.gunzip), deflate: (bytes, options) => promisify(isZlib(bytes) ? zlib.inflate : zlib.inflateRaw)(bytes, options),
  br: promisify(zlib.brotliDecompress), zstd: promisify(zlib.zstdDecompress),
}
/** `deflate` is zlib by the standard and raw by habit. */
const isZlib = (bytes: Buffer) => bytes.length > 1 && (bytes[0]! & 0x0f) === 8 && ((bytes[0]! << 8) | bytes[1]!) % 31 === 0

/** The body without its codings. `exact`: every byte of it was used, so it may go out as it came. Throws ContentRefused. */
export async function decodedWhole(bytes: Buffer, codings: readonly Coding[], bytesMax: number): Promise<{ readonly bytes: Buffer; readonly exact: boolean }> {
  let exact = true
  for (const coding of [...codings].reverse()) {
    let informed: Informed
    try { informed = (await whole[coding](bytes, { maxOutputLength: bytesMax, info: true })) as unknown as Informed } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw new ContentRefused(`decoded it is longer than ${bytesMax} bytes`)
      throw new ContentRefused(`it is no ${coding}`)
    }
    exact &&= informed.engine.bytesWritten === bytes.length
    bytes = informed.buffer
  }
  return { bytes, exact }
}
export async function encodedWhole(bytes: Buffer, codings: readonly Coding[]): Promise<Buffer> {
  for (const coding of codings) bytes = await ENCODE[coding](bytes)
  return bytes
}
const ENCODE: Readonly<Record<Coding, (bytes: Buffer) => Promise<Buffer>>> = {
  gzip: (bytes) => promisify(zlib.gzip)(bytes, { level: 1 }), deflate: (bytes) => promisify(zlib.deflate)(bytes, { level: 1 }),
  br: (bytes) => promisify(zlib.brotliCompress)(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } }), zstd: (bytes) => promisify(zlib.zstdCompress)(bytes),
}

/** The same in pieces. Flushes with every piece: what the upstream sent now, the client sees now. */
export function decoder(coding: Coding): Transform {
  switch (coding) {
    case 'gzip': return zlib.createGunzip()
    case 'deflate': return zlib.createInflate()
    case 'br': return zlib.createBrotliDecompress()
    case 'zstd': return zlib.createZstdDecompress()
  }
}
export function encoder(coding: Coding): Transform {
  switch (coding) {
    case 'gzip': return zlib.createGzip({ level: 1, flush: zlib.constants.Z_SYNC_FLUSH })
    case 'deflate': return zlib.createDeflate({ level: 1, flush: zlib.constants.Z_SYNC_FLUSH })
    case 'br': return zlib.createBrotliCompress({ flush: zlib.constants.BROTLI_OPERATION_FLUSH, params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } })
    case 'zstd': return zlib.createZstdCompress({ flush: zlib.constants.ZSTD_e_flush })
  }
}
/** Throws when what came out is out of all proportion to what went in. */
export function heldToRatio(codedBytes: number, decodedBytes: number): void {
  if (decodedBytes > FREE_BYTES && decodedBytes > codedBytes * RATIO_MAX) throw new ContentRefused('it unpacks to more than anything that is meant to be read')
}
