import assert from 'node:assert/strict'
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { SESSION_COLUMNS_MAX } from '../../src/core/record.ts'
import { indexRow } from '../../src/store/record/summary.ts'
import { FolderShelf, HeadKeeper, type Opener, openRecorder, RecordReader, rebuildIndex, recoverRecordings, retire, verify, verifyFolder } from '../../src/store/record/index.ts'
import type { KeyObject } from 'node:crypto'
import { type Disk, realDisk } from '../../src/store/record/log.ts'
import { eachEvent, firstPlace, nextBatch, openSegment } from '../../src/store/record/scan.ts'
import { MemoryShelf, random, sealAll, smallRecord, temporaryFolder } from './record_fixture.ts'

/** `SLUICE_MUTATIONS=100000` for the whole figure. */
const MUTATIONS = Number(process.env['SLUICE_MUTATIONS'] ?? 10_000)
const SEED = Number(process.env['SLUICE_SEED'] ?? 20261121)

const data = temporaryFolder()
let record: Awaited<ReturnType<typeof smallRecord>>
before(async () => { record = await smallRecord(data.path) })
after(() => { data.remove() })

test('a record that nobody touched is whole, also when it is verified again and again', () => {
  for (let round = 0; round < 200; round++) {
    const found = verify(record.shelf, record.publicKey)
    assert.deepEqual([found.ok, found.bad, found.unsealed, found.logs], [true, [], [], 4])
  }
  assert.ok(record.shelf.segments('orders/boot-1').length > 1)
  assert.equal(record.shelf.segment('orders/boot-1', 1)![5], 1, 'the first writer is sealed')
  assert.equal(record.shelf.segment('orders/boot-2', 1)![5], 0)
})

test('a record with a crash in it, and a file that a disk failed, is whole too, and its changes are found as well', async () => {
  const place = temporaryFolder()
  const { folder, second, keeper, publicKey, opener } = await smallRecord(place.path, false)
  let full = false
  const disk: Disk = { ...realDisk, write: (file, bytes, start, length, position) => { if (full) throw Object.assign(new Error('full'), { code: 'ENOSPC' }); return realDisk.write(file, bytes, start, length, position) } }
  const recorder = openRecorder({ folder, writer: 'boot-3', disk, onHead: (head) => { if (head.state !== 'closed') void keeper.take(head) }, freeBytesMin: 0 })
  const session = recorder.session('a', 'orders')
  session.append('opened', '{}')
  await session.durable('disk')
  full = true
  session.append('asked', '{}')
  assert.throws(() => { void session.append('asked', '{}'); void session.append('asked', 'x'.repeat(300_000)) }, { code: 'RECORD_FAILED' })
  full = false
  while (recorder.failure !== null) await new Promise((resolve) => setTimeout(resolve, 50))
  session.append('asked', '{}')
  await session.durable('disk')
  await recorder.close()
  assert.equal((await recoverRecordings(place.path, keeper)).length, 1)
  await keeper.close()
  const shelf = MemoryShelf.of(new FolderShelf(folder, second))
  assert.deepEqual(verify(shelf, publicKey).bad, [])
  assert.deepEqual(verify(shelf, publicKey).unsealed, [])
  changeAtRandom(shelf, publicKey, MUTATIONS / 10, opener)
  place.remove()
})

test('every random change of a record is found', () => { assert.equal(changeAtRandom(record.shelf, record.publicKey, MUTATIONS, record.opener), MUTATORS.length) })

function changeAtRandom(shelf: MemoryShelf, publicKey: KeyObject, rounds: number, opener: Opener): number {
  const below = random(SEED)
  const counts = new Map<string, number>()
  for (let round = 0; round < rounds; round++) {
    const spoilt = shelf.copy()
    const what = MUTATORS[below(MUTATORS.length)]!
    const done = what(spoilt, below)
    if (done === null) { round--; continue }
    counts.set(what.name, (counts.get(what.name) ?? 0) + 1)
    const found = verify(spoilt, publicKey)
    assert.equal(found.ok, false, `seed ${SEED}, round ${round}: ${what.name} ${done} was not found`)
    assert.ok(found.bad[0]!.why.length > 0)
    if (round % 5 !== 0) continue
    // With the keys no less is found, and no bytes make the reader throw.
    assert.equal(verify(spoilt, publicKey, opener).ok, false, `seed ${SEED}, round ${round}: ${what.name} ${done} was not found with the keys`)
    for (const event of new RecordReader(spoilt, opener).events()) assert.ok(event.session.length > 0)
  }
  return counts.size
}

type Below = (below: number) => number
type Mutator = (shelf: MemoryShelf, below: Below) => string | null
function pick(shelf: MemoryShelf, below: Below): { log: string; number: number; bytes: Buffer; set: (bytes: Buffer) => void } {
  const log = shelf.logs()[below(shelf.logs().length)]!
  const numbers = shelf.segments(log)
  const number = numbers[below(numbers.length)]!
  return { log, number, bytes: shelf.segment(log, number)!, set: (bytes) => { shelf.files.get(log)!.set(number, bytes) } }
}
/** The whole batches of a plain segment. */
function batches(bytes: Buffer): { start: number; end: number }[] | null {
  const segment = openSegment(bytes)
  if (segment === null || 'sealed' in segment) return null
  const place = firstPlace(segment)
  const list: { start: number; end: number }[] = []
  for (let start = place.at; ; start = place.at) {
    const step = nextBatch(segment.bytes, place)
    if (step === null || typeof step === 'string') return list
    list.push({ start, end: place.at })
  }
}
function changed(bytes: Buffer, at: number, cut: number, put: Buffer): Buffer { return Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + cut)]) }
function noise(below: Below, length: number): Buffer { return Buffer.from(Array.from({ length }, () => below(256))) }

const MUTATORS: readonly Mutator[] = [
  function flip(shelf, below) {
    const { bytes, set, log, number } = pick(shelf, below)
    const copy = Buffer.from(bytes)
    const at = below(copy.length)
    copy[at]! ^= 1 << below(8)
    set(copy)
    return `${log} ${number} byte ${at}`
  },
  function cut(shelf, below) {
    const { bytes, set, log, number } = pick(shelf, below)
    const at = below(bytes.length)
    const length = 1 + below(bytes.length - at)
    set(changed(bytes, at, length, Buffer.alloc(0)))
    return `${log} ${number} ${at}+${length}`
  },
  function truncate(shelf, below) {
    const { bytes, set, log, number } = pick(shelf, below)
    const at = below(bytes.length)
    set(bytes.subarray(0, at))
    return `${log} ${number} to ${at}`
  },
  function insert(shelf, below) {
    const { bytes, set, log, number } = pick(shelf, below)
    const at = below(bytes.length + 1)
    set(changed(bytes, at, 0, noise(below, 1 + below(60))))
    return `${log} ${number} at ${at}`
  },
  function dropBatch(shelf, below) {
    const { bytes, set, log, number } = pick(shelf, below)
    const list = batches(bytes)
    if (list === null || list.length === 0) return null
    const one = list[below(list.length)]!
    set(changed(bytes, one.start, one.end - one.start, Buffer.alloc(0)))
    return `${log} ${number} ${one.start}`
  },
  function reorder(shelf, below) {
    const { bytes, set, log, number } = pick(shelf, below)
    const list = batches(bytes)
    if (list === null || list.length < 2) return null
    const first = below(list.length - 1)
    const a = list[first]!, b = list[first + 1]!
    set(Buffer.concat([bytes.subarray(0, a.start), bytes.subarray(b.start, b.end), bytes.subarray(a.start, a.end), bytes.subarray(b.end)]))
    return `${log} ${number} ${first}`
  },
  function repeat(shelf, below) {
    const { bytes, set, log, number } = pick(shelf, below)
    const list = batches(bytes)
    if (list === null || list.length === 0) return null
    const one = list[below(list.length)]!
    set(changed(bytes, one.end, 0, bytes.subarray(one.start, one.end)))
    return `${log} ${number} ${one.start}`
  },
  function spliceLogs(shelf, below) {
    const a = pick(shelf, below), b = pick(shelf, below)
    if (a.bytes.equals(b.bytes)) return null
    a.set(b.bytes)
    return `${b.log} ${b.number} over ${a.log} ${a.number}`
  },
  function spliceBatch(shelf, below) {
    const a = pick(shelf, below), b = pick(shelf, below)
    const to = batches(a.bytes), from = batches(b.bytes)
    if (to === null || from === null || to.length === 0 || from.length === 0) return null
    const put = from[below(from.length)]!, over = to[below(to.length)]!
    const bytes = b.bytes.subarray(put.start, put.end)
    if (bytes.equals(a.bytes.subarray(over.start, over.end))) return null
    a.set(changed(a.bytes, over.start, below(2) * (over.end - over.start), bytes))
    return `${b.log} ${put.start} into ${a.log} ${over.start}`
  },
  function lose(shelf, below) {
    const { log, number } = pick(shelf, below)
    shelf.files.get(log)!.delete(number)
    return `${log} ${number}`
  },
  function loseLog(shelf, below) {
    const { log } = pick(shelf, below)
    shelf.files.delete(log)
    return log
  },
  function addLog(shelf, below) {
    const { log } = pick(shelf, below)
    shelf.files.set(`forged/${below(1_000)}`, new Map(shelf.files.get(log)))
    return log
  },
  function addSegment(shelf, below) {
    const { log, bytes } = pick(shelf, below)
    shelf.files.get(log)!.set(shelf.segments(log).at(-1)! + 1, below(2) === 0 ? bytes : noise(below, below(200)))
    return log
  },
  function oldHeads(shelf, below) {
    const lines = shelf.headsBytes.toString().split('\n')
    shelf.headsBytes = Buffer.from(lines.slice(0, below(lines.length - 1)).map((line) => `${line}\n`).join(''))
    return `${shelf.headsBytes.length}`
  },
  function oldHeadsAndLog(shelf, below) {
    // The folder is brought back to an older state as a whole; only the second place knows better.
    const lines = shelf.headsBytes.toString().split('\n')
    const kept = below(lines.length - 1)
    shelf.headsBytes = Buffer.from(lines.slice(0, kept).map((line) => `${line}\n`).join(''))
    shelf.files.delete(shelf.logs().at(-1)!)
    return `${kept}`
  },
  function flipHeads(shelf, below) {
    const copy = Buffer.from(shelf.headsBytes)
    copy[below(copy.length)]! ^= 1 << below(8)
    shelf.headsBytes = copy
    return 'heads'
  },
  function flipHeadsTwice(shelf, below) {
    const copy = Buffer.from(shelf.headsBytes)
    const at = below(copy.length - 1)
    copy[at]! ^= 1 << below(8)
    shelf.headsBytes = copy
    shelf.exportedBytes = Buffer.from(copy)
    return `heads and second place at ${at}`
  },
  function dropHead(shelf, below) {
    const lines = shelf.headsBytes.toString().split('\n')
    lines.splice(below(lines.length - 2), 1)
    shelf.headsBytes = Buffer.from(lines.join('\n'))
    shelf.exportedBytes = Buffer.from(shelf.headsBytes)
    return 'a line, in both places'
  },
]

test('a signature in another spelling of the same bytes is not the one that was written', () => {
  const spoilt = record.shelf.copy()
  const text = spoilt.headsBytes.toString()
  const last = text.lastIndexOf('=="}') - 1
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  const other = letters[letters.indexOf(text[last]!) ^ 1]!
  spoilt.headsBytes = Buffer.from(text.slice(0, last) + other + text.slice(last + 1))
  spoilt.exportedBytes = spoilt.headsBytes
  assert.equal(verify(spoilt, record.publicKey).ok, false)
})

test('a change names the log, the batch and the last event in front of it', () => {
  const spoilt = record.shelf.copy()
  const bytes = Buffer.from(spoilt.segment('people/boot-2', 1)!)
  const list = batches(bytes)!
  bytes[list[2]!.start + 40]! ^= 1
  spoilt.files.get('people/boot-2')!.set(1, bytes)
  const [first] = verify(spoilt, record.publicKey).bad
  assert.deepEqual([first!.log, first!.segment, first!.batch], ['people/boot-2', 1, 3])
  assert.match(first!.after!.session, /^boot-2-people-/)
})

test('with another key nothing is proved', async () => {
  const other = temporaryFolder()
  const keeper = await HeadKeeper.open({ data: other.path, second: null })
  await keeper.close()
  assert.equal(verify(record.shelf, keeper.publicKey).ok, false)
  other.remove()
})

test('the reader finds every session, in order, and no bytes make it throw', () => {
  const reader = new RecordReader(record.shelf, record.opener)
  const sessions = reader.sessions()
  assert.equal(sessions.length, 8)
  assert.ok(sessions.every(({ events, closed, opened }) => events === 14 && closed && opened !== null))
  const events = [...reader.events('boot-1-orders-2')]
  assert.deepEqual(events.map(({ sequence }) => sequence), Array.from({ length: 14 }, (_, i) => i + 1))
  assert.deepEqual([events[2]!.kind, events[2]!.run, String(events[2]!.body)], ['answer', 1, 'row 1'])
  assert.equal([...reader.exportLines('boot-1-orders-2')].length, 14)
  assert.ok([...reader.replay('boot-1-orders-2')].every(({ afterMs }) => afterMs >= 0))
  assert.deepEqual(reader.sessions({ resource: 'people' }).length, 4)
})
test('bytes cut at every position, and bytes of any kind, are read without harm', () => {
  const below = random(SEED)
  for (const log of record.shelf.logs()) {
    const whole = record.shelf.segment(log, 1)!
    for (let end = 0; end < whole.length; end++) {
      const shelf = new MemoryShelf()
      shelf.files.set(log, new Map([[1, whole.subarray(0, end)]]))
      for (const event of new RecordReader(shelf).events()) assert.ok(event.session.length > 0)
    }
  }
  for (let round = 0; round < 3_000; round++) {
    const bytes = noise(below, below(300))
    openSegment(bytes)
    eachEvent(bytes, 0, bytes.length, new Map([[1, 'x']]), null, () => {})
    nextBatch(bytes, { batch: 0, at: 0, whole: 0, chain: Buffer.alloc(32) })
    openSegment(Buffer.concat([Buffer.from('SLRC\x01'), bytes]))
  }
})

test('the index can be made again from the record', async () => {
  const rows = new Map<string, unknown>()
  const count = await rebuildIndex(new RecordReader(record.shelf, record.opener), async (list) => { for (const row of list) rows.set(row.session, row) })
  assert.equal(count, 8)
  const row = rows.get('boot-1-orders-1') as Record<string, unknown>
  assert.deepEqual([row['statements'], row['rows'], row['bytes'], row['subject'], row['endedWhy']], [4, 4, 20, 's', 'the client left'])
})

test('the columns of a session are those of what was allowed, and too many are found by any', () => {
  const asked = (verdict: string, columns: readonly string[], phase = 'run') => ({ session: 's', kind: 'asked', body: { phase, verdict, effects: [{ columns }] } }) as unknown as Parameters<typeof indexRow>[1]
  let row = indexRow(null, { session: 's', kind: 'opened', atMs: 1, body: {} } as unknown as Parameters<typeof indexRow>[1])
  for (const event of [asked('allow', ['a.b.c']), asked('deny', ['a.b.d']), asked('modify', ['a.b.c', 'a.b.e'], 'prepare')]) row = indexRow(row, event)
  assert.deepEqual([row?.columns, row?.statements, row?.denied], [['a.b.c', 'a.b.e'], 2, 1])
  row = indexRow(row, asked('allow', Array.from({ length: SESSION_COLUMNS_MAX + 5 }, (_, i) => `a.b.n${i}`)))
  assert.equal(row?.columns?.length, SESSION_COLUMNS_MAX + 1)
  assert.equal(row?.columns?.at(-1), '*')
})

test('what stands behind the last signed head is unsealed, a cut of it too; the next start signs it', async () => {
  const place = temporaryFolder()
  const folder = join(place.path, 'recordings'), second = join(place.path, 'second')
  const keeper = await HeadKeeper.open({ data: place.path, second })
  let muted = false
  const recorder = openRecorder({ folder, writer: 'boot', onHead: (head) => { if (!muted) void keeper.take(head) }, freeBytesMin: 0 })
  const session = recorder.session('a', 'orders')
  session.append('opened', '{}')
  await session.durable('disk')
  muted = true
  session.append('asked', '{"run":1}')
  await session.durable('kernel')
  session.append('asked', '{"run":2}')
  await session.durable('kernel')
  await new Promise((resolve) => setTimeout(resolve, 150))
  const found = verifyFolder(folder, second, keeper.publicKey)
  assert.deepEqual([found.ok, found.unsealed.length], [true, 1])
  await keeper.close()
  const path = join(folder, 'orders', 'boot', '000001.seg')
  truncateSync(path, readFileSync(path).length - 10)
  const again = await HeadKeeper.open({ data: place.path, second })
  assert.deepEqual([verifyFolder(folder, second, again.publicKey).ok, verifyFolder(folder, second, again.publicKey).unsealed.length], [true, 2])
  const recovered = await recoverRecordings(place.path, again)
  assert.equal(recovered.length, 1)
  assert.deepEqual([recovered[0]!.log, recovered[0]!.why, recovered[0]!.cutBytes > 0], ['orders/boot', 'crash', true])
  const after = verifyFolder(folder, second, again.publicKey)
  assert.deepEqual([after.ok, after.unsealed], [true, []])
  assert.deepEqual((await recoverRecordings(place.path, again)), [])
  truncateSync(path, readFileSync(path).length - 10)
  assert.equal(verifyFolder(folder, second, again.publicKey).ok, false)
  await again.close()
  await recorder.close()
  place.remove()
})

test('a segment that was only just begun when the gateway died holds nothing and is taken away', async () => {
  for (const left of [0, 5, 40]) {
    const place = temporaryFolder()
    const { folder, second, keeper } = await smallRecord(place.path, false)
    const recorder = openRecorder({ folder, writer: 'boot-3', onHead: (head) => { if (head.state !== 'closed') void keeper.take(head) }, freeBytesMin: 0 })
    recorder.session('a', 'orders').append('opened', '{}')
    await recorder.close()
    writeFileSync(join(folder, 'orders', 'boot-3', '000002.seg'), readFileSync(join(folder, 'orders', 'boot-3', '000001.seg')).subarray(0, left))
    assert.equal(verifyFolder(folder, second, keeper.publicKey).ok, true)
    assert.deepEqual((await recoverRecordings(place.path, keeper)).map(({ log, segment, why }) => [log, segment, why]), [['orders/boot-3', 1, 'crash']])
    const found = verifyFolder(folder, second, keeper.publicKey)
    assert.deepEqual([found.bad, found.unsealed], [[], []])
    await keeper.close()
    place.remove()
  }
})

test('recovery signs nothing over a log that lost what was signed', async () => {
  const place = temporaryFolder()
  const { folder, second, keeper } = await smallRecord(place.path, false)
  const recorder = openRecorder({ folder, writer: 'boot-3', onHead: (head) => { if (head.state !== 'closed') void keeper.take(head) }, freeBytesMin: 0 })
  const session = recorder.session('a', 'orders')
  session.append('opened', '{}')
  await session.durable('disk')
  await new Promise((resolve) => setTimeout(resolve, 1_300))
  session.append('asked', '{}')
  await session.durable('disk')
  await recorder.close()
  const path = join(folder, 'orders', 'boot-3', '000001.seg')
  truncateSync(path, 200)
  await keeper.close()
  const again = await HeadKeeper.open({ data: place.path, second })
  assert.equal((await recoverRecordings(place.path, again))[0]!.why, 'broken')
  const [bad] = verifyFolder(folder, second, again.publicKey).bad
  assert.deepEqual([bad!.log, bad!.why], ['orders/boot-3', 'it was cut: more of it was signed'])
  await again.close()
  place.remove()
})

test('retired segments are gone, and what is left is still proved', async () => {
  const place = temporaryFolder()
  const { folder, second, keeper } = await smallRecord(place.path, false)
  const count = await retire(folder, 'orders', Date.now() + 1_000, keeper)
  assert.ok(count > 2)
  assert.equal(existsSync(join(folder, 'orders', 'boot-1')), false)
  const found = verifyFolder(folder, second, keeper.publicKey)
  assert.deepEqual([found.ok, found.bad], [true, []])
  assert.equal(await retire(folder, 'people', 0, keeper), 0)
  assert.ok(await sealAll(place.path, keeper) > 0)
  assert.equal(await sealAll(place.path, keeper), 0)
  assert.equal(verify(new FolderShelf(folder, second), keeper.publicKey).ok, true)
  await keeper.close()
  place.remove()
})

test('heads that were changed stop the next start; heads that were lost come back from the second place', async () => {
  const place = temporaryFolder()
  const { folder, second } = await smallRecord(place.path)
  const path = join(folder, 'heads.jsonl')
  const good = readFileSync(path)
  writeFileSync(path, good.subarray(0, good.length / 2))
  const keeper = await HeadKeeper.open({ data: place.path, second })
  assert.ok(readFileSync(path).subarray(0, good.length).equals(good))
  await keeper.close()
  const spoilt = Buffer.from(good)
  spoilt[100]! ^= 1
  writeFileSync(path, spoilt)
  await assert.rejects(HeadKeeper.open({ data: place.path, second }), /contradict/)
  await assert.rejects(HeadKeeper.open({ data: place.path, second: null }), /not what was signed/)
  place.remove()
})

test('what people do in Sluice itself is in the record too', async () => {
  const place = temporaryFolder()
  const keeper = await HeadKeeper.open({ data: place.path, second: null, freeBytesMin: 0 })
  await keeper.admin({ actor: 'a', action: 'resource.put' })
  await keeper.close()
  const events = [...new RecordReader(join(place.path, 'recordings')).events()]
  assert.deepEqual(events.map(({ kind, body }) => [kind, body]), [['admin', { actor: 'a', action: 'resource.put' }]])
  assert.equal(verifyFolder(join(place.path, 'recordings'), null, keeper.publicKey).ok, true)
  place.remove()
})
