import assert from 'node:assert/strict'
import test from 'node:test'
import { compileDetectors } from '../../detect/index.ts'
import { Scratch } from '../../wire/bytes.ts'
import { COPY_DEFAULTS, type CopyOptions, copyMask } from './copy.ts'
import { detectorMask, textMask, wholeMask } from './values.ts'

const DETECTOR = compileDetectors(['us-ssn', 'credit-card', 'email'].map((detector) => ({ detector, pattern: null, with: 'redact', rule: detector })))!
const hash = () => 'abcdef0123456789'
const TEXT = textMask(DETECTOR, hash)
const H = '[hidden]'
const WHOLE = wholeMask({ type: 25, typmod: -1, format: 0, name: null }, 'redact', hash), NULLED = wholeMask({ type: 23, typmod: -1, format: 0, name: null }, 'redact', hash)

function run(options: Partial<CopyOptions>, masks: Parameters<typeof copyMask>[1], data: Buffer | string, cut = -1): string {
  const mask = copyMask({ ...COPY_DEFAULTS, ...options }, masks, TEXT)!
  const bytes = Buffer.from(data as string), out = new Scratch(4)
  if (cut >= 0) { mask.push(bytes, 0, cut, out); mask.push(bytes, cut, bytes.length, out) } else mask.push(bytes, 0, bytes.length, out)
  mask.end(out)
  return out.taken().toString('latin1')
}
/** The same whole, and cut in two at every byte. */
function check(options: Partial<CopyOptions>, masks: Parameters<typeof copyMask>[1], data: string | Buffer, expected: string | Buffer): void {
  const wanted = Buffer.from(expected as string).toString('latin1')
  for (let cut = -1; cut <= Buffer.byteLength(data); cut++) assert.equal(run(options, masks, data, cut), wanted)
}

test('COPY text: escapes hide nothing, NULL stays NULL, what is not found stays byte for byte', () => {
  check({}, [null, TEXT, TEXT], '1\t123-45-6789\tx\\ty\n2\t\\N\t\\N\n3\t\\061\\062\\063-45-6789\ta\\n123-45-6789\\\\\n', `1\t${H}\tx\\ty\n2\t\\N\t\\N\n3\t${H}\ta\\n${H}\\\\\n`)
  check({}, [TEXT], '\\x3123-45-6789\n\n\\134\n', `${H}\n\n\\134\n`)
  check({ delimiter: '[' }, [TEXT, TEXT], 'a[123-45-6789\n', `a[\\${H}\n`)
  check({ nullText: H }, [TEXT], `123-45-6789\n${H}\n`, `\\x5bhidden]\n${H}\n`)
  check({ header: true }, [WHOLE, NULLED], 'ssn\tn\na\t7\n', `ssn\tn\n${H}\t\\N\n`)
})

test('COPY CSV: quotes, other quotes and line breaks within cells', () => {
  check({ format: 'csv' }, [TEXT, TEXT], 'a,123-45-6789\n"x,\n""123-45-6789""",\n"",b\n', `a,"${H}"\n"x,\n""${H}""",\n"",b\n`)
  check({ format: 'csv', quote: '\'', escape: '\\', delimiter: ';', nullText: 'nil' }, [TEXT, WHOLE], '\'it\\\'s 123-45-6789\\\\\';nil\nnil;\'nil\'\n', `'it\\'s ${H}\\\\';nil\nnil;'${H}'\n`)
  check({ format: 'csv', nullText: H }, [WHOLE, NULLED], `x,1\n${H},2\n`, `"${H}",${H}\n${H},${H}\n`)
  check({ format: 'csv', delimiter: 'h' }, [TEXT, null], '123-45-6789h2\n', `"${H}"h2\n`)
  check({ format: 'csv' }, [TEXT, null], '12"3-45"-6789,2\n', `"${H}",2\n`)
})

test('COPY binary: the signature, rows and the end keep their shape', () => {
  const i16 = (value: number) => { const b = Buffer.alloc(2); b.writeInt16BE(value); return b }
  const cell = (value: string | null) => { const b = Buffer.alloc(4); b.writeInt32BE(value === null ? -1 : value.length); return Buffer.concat([b, Buffer.from(value ?? '')]) }
  const head = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)])
  const file = (...rows: (string | null)[][]) => Buffer.concat([head, ...rows.flatMap((row) => [i16(row.length), ...row.map(cell)]), i16(-1)])
  check({ format: 'binary' }, [null, TEXT], file(['123-45-6789', '123-45-6789'], [null, null], ['', 'x']), file(['123-45-6789', H], [null, null], ['', 'x']))
  check({ format: 'binary' }, [NULLED, WHOLE], file(['7', 'y']), file([null, H]))
  assert.throws(() => run({ format: 'binary' }, [TEXT], 'no signature at all'), /signature/)
  assert.throws(() => run({ format: 'binary' }, [TEXT], file(['a', 'b'])), /columns/)
})

test('COPY: what can\'t be searched is refused, what can\'t change is left alone', () => {
  assert.equal(copyMask(COPY_DEFAULTS, [null, null]), null)
  assert.throws(() => copyMask({ ...COPY_DEFAULTS, encoding: 'LATIN1' }, [TEXT]), /LATIN1/)
  assert.notEqual(copyMask({ ...COPY_DEFAULTS, encoding: 'utf8' }, [TEXT]), null)
  assert.throws(() => run({}, [TEXT], 'a\tb\n'), /columns/)
  const array = detectorMask({ type: 1009, typmod: -1, format: 0, name: null }, DETECTOR, hash)
  check({}, [array], '{"a\\\\\\\\b",123-45-6789}\n', `{"a\\\\\\\\b","${H}"}\n`)
})

test('COPY text: rows without escapes, which are read in one pass, are masked cell by cell like all others', () => {
  const pieces = ['123-45-6789', '4111 1111 1111 1111', 'ana@example.com', '123', '-45-', '@', 'x', ' ', '', 'NULL', '.', 'é', '\r', '\x01']
  let seed = 7
  const next = (below: number) => { seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff; return (seed >> 8) % below }
  const masked = (cell: string) => { const out = new Scratch(16), bytes = Buffer.from(cell); return TEXT(bytes, 0, bytes.length, out) === 1 ? out.taken().toString() : cell }
  for (let i = 0; i < 400; i++) {
    const cells = Array.from({ length: 3 }, () => Array.from({ length: next(4) }, () => pieces[next(pieces.length)]!).join(''))
    if (cells[2]!.endsWith('\r')) cells[2] += '.'
    const wanted = `${cells.map((cell) => (cell === 'NULL' ? cell : masked(cell))).join('|')}\n`
    const found = run({ delimiter: '|', nullText: 'NULL' }, [TEXT, TEXT, TEXT], `${cells.join('|')}\n`)
    // A changed cell is encoded again: its control characters get escapes, which mean the same.
    assert.equal(found.replaceAll('\\r', '\r'), Buffer.from(wanted).toString('latin1'), cells.join('|'))
  }
})
