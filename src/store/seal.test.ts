import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openKeyring, writeKeyring } from './keyring.ts'
import { newSealKey, seal, SealBroken, unseal } from './seal.ts'

test('a sealed secret opens with its key, under its name, and with nothing else', () => {
  const key = newSealKey()
  const secret = Buffer.from('pässword\0')
  const sealed = seal(key, 'orders', secret)
  assert.deepEqual(unseal([newSealKey(), key], 'orders', sealed), secret)
  assert.ok(!sealed.bytes.includes(secret.subarray(0, 4)))
  assert.notDeepEqual(seal(key, 'orders', secret).bytes, sealed.bytes)
  assert.throws(() => unseal([newSealKey()], 'orders', sealed), SealBroken)
  assert.throws(() => unseal([{ ...newSealKey(), id: key.id }], 'orders', sealed), SealBroken)
  assert.throws(() => unseal([key], 'payments', sealed), SealBroken)
  assert.throws(() => unseal([key, { id: 'other', key: key.key }], 'orders', { ...sealed, keyId: 'other' }), SealBroken)
})

test('every flipped bit and every cut of a sealed secret is found', () => {
  const key = newSealKey()
  const sealed = seal(key, 'orders', Buffer.from('secret'))
  for (let at = 0; at < sealed.bytes.length; at++) {
    const flipped = Buffer.from(sealed.bytes)
    flipped[at]! ^= 1 << (at % 8)
    assert.throws(() => unseal([key], 'orders', { ...sealed, bytes: flipped }), SealBroken)
    assert.throws(() => unseal([key], 'orders', { ...sealed, bytes: sealed.bytes.subarray(0, at) }), SealBroken)
  }
})

test('the key file is made once, private, kept on rotation, and refused when exposed or damaged', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-keys-'))
  const keys = openKeyring(join(folder, 'keys'))
  const path = join(folder, 'keys', 'seal.key')
  assert.deepEqual(openKeyring(join(folder, 'keys')), keys)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  const both = [newSealKey(), ...keys]
  writeKeyring(join(folder, 'keys'), both)
  assert.deepEqual(openKeyring(join(folder, 'keys')), both)
  chmodSync(path, 0o640)
  assert.throws(() => openKeyring(join(folder, 'keys')), /may be read by others/)
  chmodSync(path, 0o600)
  for (const damaged of ['', 'x', `${keys[0]!.id} AAAA\n`]) {
    writeFileSync(path, damaged)
    assert.throws(() => openKeyring(join(folder, 'keys')), /damaged|empty/)
  }
  rmSync(folder, { recursive: true })
})
