// Recordings at rest: nothing of them can be read without a key, all of them with one that was turned over since, and whoever has none
// still proves that they are what was written.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { HeadKeeper, openerOf, openRecorder, openSealKeys, RecordReader, recordOpener, recoverRecordings, retire, verifyFolder } from '../../src/store/record/index.ts'
import { newSealKey } from '../../src/store/seal.ts'
import { writeKeyring } from '../../src/store/keyring.ts'
import { sealAll, smallRecord, temporaryFolder } from './record_fixture.ts'

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const filesOf = (folder: string) => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((e) => e.isFile() && e.name.endsWith('.seg')).map((e) => join(e.parentPath, e.name))

test('a sealed recording says nothing without a key, and everything with one that was turned over since', async () => {
  const place = temporaryFolder()
  const { folder, second, keeper, opener } = await smallRecord(place.path, false)
  const before = [...new RecordReader(folder, opener).events()]
  assert.ok(await sealAll(place.path, keeper) > 0)
  for (const file of filesOf(folder)) {
    const text = readFileSync(file, 'latin1')
    // One that was only begun has a header and nothing else.
    assert.equal(text.charCodeAt(5) === 1 || text.length === 12 + readFileSync(file).readUInt32LE(8), true, file)
    for (const word of ['SELECT', 'identity', 'left', 'row 1']) assert.ok(!text.includes(word), `${word} in ${file}`)
  }
  assert.deepEqual([...new RecordReader(folder).events()], [])
  assert.deepEqual([...new RecordReader(folder, openerOf([newSealKey()])).events()], [])
  const keys = join(place.path, 'keys')
  // The first key is old: the next one that is asked for is another, and what was sealed stays open.
  const turned = openSealKeys(keys, Date.now() + 91 * 24 * 3_600_000)
  assert.equal(turned.length, 2)
  assert.deepEqual([...new RecordReader(folder, recordOpener(keys)).events()], before)
  for (const open of [undefined, recordOpener(keys), openerOf([newSealKey()])]) {
    const found = verifyFolder(folder, second, keeper.publicKey, open)
    assert.deepEqual([found.ok, found.bad, found.unsealed], [true, [], []])
    assert.equal(found.events > 0, open !== undefined && open !== null && found.events === before.length)
  }
  // A key that was lost: nothing opens, and nothing is said to be broken.
  writeKeyring(keys, [turned[0]!], 'recordings.key')
  assert.deepEqual([...new RecordReader(folder, recordOpener(keys)).events()], [])
  assert.equal(verifyFolder(folder, second, keeper.publicKey, recordOpener(keys)).ok, true)
  await keeper.close()
  place.remove()
})

test('a sealed file that was changed, also where only its key tells, is found without a key', async () => {
  const place = temporaryFolder()
  const { folder, second, keeper } = await smallRecord(place.path, false)
  await sealAll(place.path, keeper)
  const file = filesOf(folder)[0]!
  const good = readFileSync(file)
  const bodyAt = good.indexOf('}', good.indexOf('lastMs')) + 1
  for (const at of [4, 5, 20, bodyAt - 3, bodyAt + 2, good.length - 70, good.length - 1]) {
    const spoilt = Buffer.from(good)
    spoilt[at]! ^= 1
    writeFileSync(file, spoilt)
    assert.equal(verifyFolder(folder, second, keeper.publicKey).ok, false, `byte ${at}`)
  }
  // One segment in another's place, both sealed by us.
  const other = filesOf(folder).find((name) => name !== file)!
  writeFileSync(file, readFileSync(other))
  assert.equal(verifyFolder(folder, second, keeper.publicKey).ok, false)
  writeFileSync(file, good)
  assert.equal(verifyFolder(folder, second, keeper.publicKey).ok, true)
  await keeper.close()
  place.remove()
})

test('a quiet segment is left by time, sealed while its log goes on, and retired', async () => {
  const place = temporaryFolder()
  const folder = join(place.path, 'recordings')
  const keeper = await HeadKeeper.open({ data: place.path, second: null })
  const recorder = openRecorder({ folder, writer: 'boot', onHead: (head) => { void keeper.take(head) }, freeBytesMin: 0, segmentMsMax: 200 })
  const session = recorder.session('a', 'orders')
  session.append('opened', '{"secret":1}')
  await session.durable('disk')
  await wait(900)
  assert.deepEqual(readdirSync(join(folder, 'orders', 'boot')), ['000001.seg', '000002.seg'], 'an empty segment is not left')
  session.append('asked', '{"run":1}')
  await session.durable('disk')
  assert.ok(await sealAll(place.path, keeper) >= 1)
  const opener = openerOf(openSealKeys(join(place.path, 'keys')))
  assert.deepEqual([...new RecordReader(folder, opener).events('a')].map(({ sequence }) => sequence), [1, 2])
  assert.ok(verifyFolder(folder, null, keeper.publicKey).ok)
  assert.equal(await retire(folder, 'orders', Date.now() - 60_000, keeper), 0, 'its time is not over')
  // The segment of the last event may have been left meanwhile.
  assert.ok(await retire(folder, 'orders', Date.now() + 1_000, keeper) >= 1)
  assert.ok(verifyFolder(folder, null, keeper.publicKey).ok)
  await recorder.close()
  await keeper.close()
  place.remove()
})

test('a crash while it is sealed leaves the plain one; a log that died is sealed after it was signed', async () => {
  const place = temporaryFolder()
  const folder = join(place.path, 'recordings')
  const keeper = await HeadKeeper.open({ data: place.path, second: null })
  const recorder = openRecorder({ folder, writer: 'boot', onHead: (head) => { if (head.state !== 'closed') void keeper.take(head) }, freeBytesMin: 0 })
  const session = recorder.session('a', 'orders')
  session.append('opened', '{}')
  await session.durable('disk')
  await recorder.close()
  const file = filesOf(folder)[0]!
  writeFileSync(`${file}.new`, readFileSync(file).subarray(0, 40))
  assert.equal(await sealAll(place.path, keeper), 0, 'nobody said that it is over')
  assert.equal((await recoverRecordings(place.path, keeper)).length, 1)
  assert.equal(await sealAll(place.path, keeper), 1)
  assert.deepEqual(readdirSync(join(folder, 'orders', 'boot')), ['000001.seg'])
  const found = verifyFolder(folder, null, keeper.publicKey)
  assert.deepEqual([found.ok, found.unsealed], [true, []])
  await keeper.close()
  place.remove()
})

test('only the segments of a session\'s time are opened for it', async () => {
  const place = temporaryFolder()
  const { folder, keeper, opener } = await smallRecord(place.path, false)
  await sealAll(place.path, keeper)
  const asked: string[] = []
  const reader = new RecordReader(folder, (name, block) => { asked.push(name); return opener(name, block) })
  const now = Date.now()
  assert.equal([...reader.events(null, 'orders', { sinceMs: now + 3_600_000, beforeMs: Infinity })].length > 0, true, 'the last segment has no known end')
  const last = asked.length
  assert.equal([...reader.events(null, 'orders', { sinceMs: 0, beforeMs: now - 3_600_000 })].length, 0)
  assert.equal(asked.length, last)
  assert.ok(reader.sealed('orders', { sinceMs: 0, beforeMs: Infinity }).every(({ name, block }) => name.startsWith('recording orders/') && block.batches > 0))
  await keeper.close()
  place.remove()
})
