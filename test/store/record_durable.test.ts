import assert from 'node:assert/strict'
import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { HeadKeeper, openRecorder, RecordReader, recoverRecordings, verifyFolder, type Head } from '../../src/store/record/index.ts'
import { type Disk, realDisk } from '../../src/store/record/log.ts'
import { random, temporaryFolder } from './record_fixture.ts'

/** `SLUICE_KILLS=500` for the whole figure. */
const KILLS = Number(process.env['SLUICE_KILLS'] ?? 12)
const SEED = Number(process.env['SLUICE_SEED'] ?? 20261121)
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
async function until(holds: () => boolean, withinMs = 6_000): Promise<void> {
  for (const end = Date.now() + withinMs; !holds();) { assert.ok(Date.now() < end, 'in time'); await wait(20) }
}

test('whatever was acknowledged is found after kill -9, and the record is whole up to there', { timeout: 600_000 }, async () => {
  const below = random(SEED)
  const place = temporaryFolder()
  let acknowledged = 0
  for (let kill = 0; kill < KILLS; kill++) {
    const data = join(place.path, String(kill))
    const folder = join(data, 'recordings'), second = join(data, 'second')
    const keeper = await HeadKeeper.open({ data, second })
    const child = fork(new URL('./record_writer.ts', import.meta.url), [folder, `boot-${kill}`], { stdio: 'inherit' })
    const seen = new Map<string, number>()
    const done = once(child, 'exit')
    child.on('message', (message: { head?: Head; id?: string; run?: number }) => {
      if (message.head !== undefined) void keeper.take(message.head)
      else seen.set(message.id!, message.run!)
    })
    await once(child, 'message')
    await wait(below(250))
    child.kill('SIGKILL')
    await done
    await wait(20)
    const before = verifyFolder(folder, second, keeper.publicKey)
    assert.deepEqual(before.bad, [], `seed ${SEED}, kill ${kill}`)
    await keeper.close()
    const again = await HeadKeeper.open({ data, second })
    await recoverRecordings(data, again)
    const found = verifyFolder(folder, second, again.publicKey)
    assert.deepEqual([found.bad, found.unsealed], [[], []], `seed ${SEED}, kill ${kill}`)
    const runs = new Map<string, number>()
    for (const event of new RecordReader(folder).events()) if (event.kind === 'asked') {
      const run = (event.body as { run: number }).run
      assert.equal(run, (runs.get(event.session) ?? 0) + 1)
      runs.set(event.session, run)
    }
    for (const [id, run] of seen) { assert.ok((runs.get(id) ?? 0) >= run, `seed ${SEED}, kill ${kill}: ${id} was told ${run}, the record has ${runs.get(id)}`); acknowledged += run }
    await again.close()
    rmSync(data, { recursive: true, force: true })
  }
  assert.ok(acknowledged > KILLS)
  place.remove()
})

/** A disk that fails when told. */
function badDisk(): Disk & { failWrite: boolean; failSync: boolean; hold: boolean; held: (() => void)[] } {
  const fault = (code: string) => Object.assign(new Error(code), { code })
  return {
    failWrite: false, failSync: false, hold: false, held: [],
    write(file, bytes, start, length, position) {
      if (this.failWrite) { if (length > 10) realDisk.write(file, bytes, start, 10, position); throw fault('ENOSPC') }
      return realDisk.write(file, bytes, start, length, position)
    },
    sync(file, done) {
      const go = () => { if (this.failSync) done(fault('EIO')); else realDisk.sync(file, done) }
      if (this.hold) this.held.push(go); else go()
    },
    syncNow(file) { if (this.failSync) throw fault('EIO'); realDisk.syncNow(file) },
  }
}
async function bench(disk: Disk, nowMs: () => number = Date.now) {
  const place = temporaryFolder()
  const folder = join(place.path, 'recordings'), second = join(place.path, 'second')
  const keeper = await HeadKeeper.open({ data: place.path, second })
  const recorder = openRecorder({ folder, writer: 'boot', onHead: (head) => { void keeper.take(head) }, freeBytesMin: 0, disk, nowMs })
  return { place, folder, second, keeper, recorder, async end() { await recorder.close(); const found = verifyFolder(folder, second, keeper.publicKey); await keeper.close(); place.remove(); return found } }
}

test('a write that fails refuses at once, and the record goes on by itself in a new segment', async () => {
  const disk = badDisk()
  const b = await bench(disk)
  const session = b.recorder.session('a', 'orders')
  session.append('asked', '{"run":1}')
  await session.durable('disk')
  disk.failWrite = true
  session.append('asked', '{"run":2}')
  await assert.rejects(async () => { await session.durable('kernel') }, { code: 'RECORD_FAILED' })
  assert.match(b.recorder.failure!, /ENOSPC/)
  assert.throws(() => { session.append('asked', '{"run":3}') }, { code: 'RECORD_FAILED' })
  assert.throws(() => b.recorder.session('b', 'orders'), { code: 'RECORD_FAILED' })
  disk.failWrite = false
  await until(() => b.recorder.failure === null)
  session.append('asked', '{"run":4}')
  await session.durable('disk')
  const events = [...new RecordReader(b.folder).events()]
  assert.deepEqual(events.filter(({ session: id }) => id === 'a').map(({ sequence, body }) => [sequence, body]), [[1, { run: 1 }], [2, { run: 2 }], [3, { run: 4 }]])
  assert.deepEqual(events.filter(({ kind }) => kind === 'note').map(({ body }) => (body as { what: string; missed: number })), [{ what: 'gap', why: "the record can't be written (ENOSPC)", missed: 1 }])
  const found = await b.end()
  assert.deepEqual([found.ok, found.bad, found.segments], [true, [], 2])
})

test('after a sync that failed the file is not trusted again, even if the next sync would succeed', async () => {
  const disk = badDisk()
  const b = await bench(disk)
  const session = b.recorder.session('a', 'orders')
  session.append('asked', '{"run":1}')
  await session.durable('disk')
  disk.failSync = true
  session.append('asked', '{"run":2}')
  await assert.rejects(async () => { await session.durable('disk') }, { code: 'RECORD_FAILED' })
  disk.failSync = false
  await until(() => b.recorder.failure === null)
  session.append('asked', '{"run":3}')
  await session.durable('disk')
  const found = await b.end()
  assert.deepEqual([found.ok, found.segments], [true, 2])
  assert.match(found.unsealed[0]!.why, /the disk failed here/)
})

test('a segment that can not begin is begun later, and nothing between is lost or doubted', async () => {
  const b = await bench(realDisk)
  const session = b.recorder.session('a', 'orders')
  const folder = join(b.folder, 'orders', 'boot')
  mkdirSync(join(folder, '000002.seg'))
  const refused: number[] = []
  const text = 'x'.repeat(20 * 1024 * 1024)
  let run = 0
  for (; run < 6; run++) {
    try { session.append('asked', JSON.stringify({ run, text })); await session.durable('kernel') } catch { refused.push(run) }
    await wait(150)
  }
  assert.ok(refused.length > 0)
  rmSync(join(folder, '000002.seg'), { recursive: true })
  await until(() => b.recorder.failure === null)
  session.append('asked', '{"run":"again"}')
  await session.durable('disk')
  const events = [...new RecordReader(b.folder).events('a')]
  assert.deepEqual(events.map(({ sequence }) => sequence), events.map((_, i) => i + 1))
  const found = await b.end()
  assert.deepEqual([found.bad, found.unsealed, found.segments], [[], [], 2])
})

test('a disk that does not answer stops reading from servers, then refuses, and does no harm when it answers', async () => {
  const disk = badDisk()
  let aheadMs = 0
  const b = await bench(disk, () => Date.now() + aheadMs)
  const session = b.recorder.session('a', 'orders')
  disk.hold = true
  const answer = Buffer.alloc(600_000)
  session.append('asked', '{}')
  session.answer(1, answer, 0, answer.length)
  assert.equal(session.behind, false)
  session.answer(1, answer, 0, answer.length)
  const durable = session.durable('disk')
  assert.notEqual(durable, true)
  const refused = assert.rejects(durable as Promise<void>, /does not answer/)
  aheadMs = 1_500
  assert.equal(session.behind, true)
  aheadMs = 12_000
  await refused
  assert.match(b.recorder.failure!, /does not answer/)
  session.append('asked', '{}')
  await assert.rejects(async () => { await session.durable('kernel') }, /does not answer/)
  disk.hold = false
  const caughtUp = session.caughtUp()
  for (const go of disk.held.splice(0)) go()
  await caughtUp
  assert.equal(session.behind, false)
  assert.equal(b.recorder.failure, null)
  assert.equal(await session.durable('kernel'), true)
  assert.equal((await b.end()).ok, true)
})

test('many sessions share one write per turn and one sync per round', async () => {
  let writes = 0, syncs = 0
  const b = await bench({ ...realDisk, write: (...call) => { writes++; return realDisk.write(...call) }, sync: (file, done) => { syncs++; realDisk.sync(file, done) } })
  const sessions = Array.from({ length: 32 }, (_, i) => b.recorder.session(`s${i}`, 'orders'))
  writes = syncs = 0
  for (let round = 0; round < 20; round++) {
    await Promise.all(sessions.map((session) => { session.append('asked', '{}'); return session.durable('kernel') }))
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(writes < 32 + 60, `${writes} writes for 640 statements`)
  syncs = 0
  await Promise.all(sessions.map((session) => { session.append('asked', '{}'); return session.durable('disk') }))
  assert.ok(syncs <= 2, `${syncs} syncs`)
  assert.equal((await b.end()).ok, true)
})

test('a session is followed while it is written, over segments', async () => {
  const b = await bench(realDisk)
  const session = b.recorder.session('a', 'orders')
  const seen: number[] = []
  const follow = (async () => { for await (const event of new RecordReader(b.folder).tail('a', 'orders', new AbortController().signal)) seen.push(event.sequence) })()
  for (let run = 0; run < 5; run++) { session.append('asked', '{}'); await session.durable('kernel'); await wait(60) }
  session.append('closed', '{}')
  session.close()
  await follow
  assert.deepEqual(seen, [1, 2, 3, 4, 5, 6])
  await b.end()
})

test('an event larger than a batch is kept whole; an oversized one is refused and disturbs nothing', async () => {
  const b = await bench(realDisk)
  const session = b.recorder.session('a', 'orders')
  const text = JSON.stringify({ text: 'ü'.repeat(700_000) })
  session.append('asked', text)
  session.append('asked', '{}')
  await session.durable('kernel')
  const events = [...new RecordReader(b.folder).events('a')]
  assert.equal(JSON.stringify(events[0]!.body), text)
  assert.equal(events.length, 2)
  assert.throws(() => { session.append('asked', 'x'.repeat(129 * 1024 * 1024)) }, { code: 'RECORD_FAILED' })
  assert.throws(() => b.recorder.session('x', '../away'), { code: 'RECORD_FAILED' })
  assert.throws(() => b.recorder.session('x'.repeat(300), 'orders'), { code: 'RECORD_FAILED' })
  assert.equal((await b.end()).ok, true)
})

test('below the low-water mark new sessions are refused, running ones go on', async () => {
  const place = temporaryFolder()
  const recorder = openRecorder({ folder: place.path, writer: 'boot', onHead: () => {}, freeBytesMin: 2 ** 60 })
  assert.match(recorder.failure!, /less than/)
  assert.throws(() => recorder.session('a', 'orders'), { code: 'RECORD_FAILED' })
  await recorder.close()
  place.remove()
})

const mountable = process.getuid?.() === 0 && process.platform === 'linux'
test('a disk that is full refuses within one statement and recovers by itself', { skip: mountable ? false : 'mounting a small disk needs root' }, async (t) => {
  const place = temporaryFolder()
  const data = join(place.path, 'disk')
  mkdirSync(data)
  try { execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', data], { stdio: 'ignore' }) } catch { place.remove(); t.skip('this machine does not let root mount'); return }
  try {
    const folder = join(data, 'recordings')
    const keeper = await HeadKeeper.open({ data: join(place.path, 'keeper'), second: null })
    const recorder = openRecorder({ folder, writer: 'boot', onHead: (head) => { void keeper.take(head) }, freeBytesMin: 0 })
    const session = recorder.session('a', 'orders')
    const ballast = join(data, 'ballast')
    writeFileSync(ballast, Buffer.alloc(3 * 1024 * 1024))
    let kept = 0
    await assert.rejects(async () => {
      for (;; kept++) { session.append('asked', JSON.stringify({ run: kept, text: 'x'.repeat(20_000) })); await session.durable('kernel') }
    }, { code: 'RECORD_FAILED' })
    assert.match(recorder.failure!, /ENOSPC/)
    rmSync(ballast)
    await until(() => recorder.failure === null)
    session.append('asked', '{"run":"again"}')
    await session.durable('disk')
    const runs = [...new RecordReader(folder).events('a')].map(({ body }) => (body as { run: unknown }).run)
    assert.deepEqual(runs.slice(0, kept), Array.from({ length: kept }, (_, i) => i))
    assert.equal(runs.at(-1), 'again')
    await recorder.close()
    await keeper.close()
  } finally { execFileSync('umount', [data]); place.remove() }
})
