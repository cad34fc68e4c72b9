// The files of signed heads: they are turned over, and what the one in force says is all that is needed.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { HeadKeeper, openRecorder, retire, verifyFolder } from '../../src/store/record/index.ts'
import { temporaryFolder } from './record_fixture.ts'

const headsIn = (folder: string) => readdirSync(folder).filter((name) => name.startsWith('heads')).sort()

async function work(folder: string, keeper: HeadKeeper, writer: string, heads = 12): Promise<void> {
  const recorder = openRecorder({ folder, writer, onHead: (head) => { void keeper.take(head) }, freeBytesMin: 0, segmentBytesMax: 400 })
  const session = recorder.session(`s-${writer}`, 'orders')
  for (let run = 0; run < heads; run++) { session.append('asked', JSON.stringify({ run, text: 'x'.repeat(300) })); await session.durable('disk') }
  await recorder.close()
}

test('files of heads are turned over, here and in the second place, and prove what they proved', async () => {
  const place = temporaryFolder()
  const folder = join(place.path, 'recordings'), second = join(place.path, 'second')
  const options = { data: place.path, second, headsBytesMax: 1_200 }
  let keeper = await HeadKeeper.open(options)
  await work(folder, keeper, 'boot-1')
  const [now, ...older] = headsIn(folder)
  assert.match(now!, /^heads\.0000\d\d\.jsonl$/)
  assert.deepEqual(older, [], 'what came before is not kept here')
  assert.ok(headsIn(second).length > 1, 'the second place keeps its files')
  assert.ok(headsIn(second).includes(now!))
  const whole = (where: string | null = second) => { const found = verifyFolder(folder, where, keeper.publicKey); return [found.ok, found.unsealed.length] }
  assert.deepEqual(whole(), [true, 0])
  assert.deepEqual(whole(null), [true, 0])
  await keeper.close()
  keeper = await HeadKeeper.open(options)
  assert.equal(keeper.isOver('orders/boot-1'), true)
  await work(folder, keeper, 'boot-2')
  assert.deepEqual(whole(), [true, 0])
  // A log of which nothing is left is not carried on.
  assert.ok(await retire(folder, 'orders', Date.now() + 1_000, keeper) > 2)
  await work(folder, keeper, 'boot-3', 30)
  assert.equal(keeper.lastOf('orders/boot-1'), null)
  assert.deepEqual(whole(), [true, 0])
  await keeper.close()

  const name = headsIn(folder)[0]!
  const good = readFileSync(join(folder, name))
  const spoil = (what: string, bytes: Buffer | null, file = name) => {
    if (bytes === null) rmSync(join(folder, file))
    else writeFileSync(join(folder, file), bytes)
    assert.equal(verifyFolder(folder, second, keeper.publicKey).ok, false, what)
  }
  spoil('without its first line', good.subarray(good.indexOf(10) + 1))
  writeFileSync(join(second, name), good.subarray(good.indexOf(10) + 1))
  spoil('the same in both places', good.subarray(good.indexOf(10) + 1))
  writeFileSync(join(second, name), good)
  rmSync(join(folder, name))
  const old = headsIn(second)[headsIn(second).indexOf(name) - 1]!
  spoil('the file before instead', readFileSync(join(second, old)), old)
  // The next start takes back what only the second place has.
  await (await HeadKeeper.open(options)).close()
  assert.equal(verifyFolder(folder, second, keeper.publicKey).ok, true)
  assert.ok(readFileSync(join(second, name)).subarray(0, good.length).equals(good))
  assert.ok(headsIn(folder)[0]! >= name, 'and goes on from there')
  place.remove()
})

test('a second place that is away keeps the older file here until it has the new one', async () => {
  const place = temporaryFolder()
  const folder = join(place.path, 'recordings'), second = join(place.path, 'second')
  writeFileSync(second, 'not a folder')
  const keeper = await HeadKeeper.open({ data: place.path, second, headsBytesMax: 1_200 })
  assert.match(keeper.secondFailure!, /second place/)
  await work(folder, keeper, 'boot-1')
  assert.ok(headsIn(folder).length > 1)
  rmSync(second)
  await work(folder, keeper, 'boot-2')
  assert.equal(keeper.secondFailure, null)
  assert.equal(headsIn(folder).length, 1)
  assert.equal(verifyFolder(folder, second, keeper.publicKey).ok, true)
  await keeper.close()
  place.remove()
})
