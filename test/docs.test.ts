// The guides say what the code does: the limits they name have the values they give, and the pages and files they point to exist.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const UNITS: Readonly<Record<string, number>> = { '': 1, ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000, KiB: 1024, MiB: 1024 ** 2, 'MiB in KiB': 1024 }

/** `64 MiB` → 67108864. */
function valueOf(text: string): number {
  const [, number, unit = ''] = /^([\d,]+)(?: (.+))?$/.exec(text.trim()) ?? []
  const scale = UNITS[unit]
  assert.ok(number !== undefined && scale !== undefined, `"${text}" is no value that this test can read`)
  return Number(number.replaceAll(',', '')) * scale
}

/** What a `const NAME = 64 * 1024` of a file comes to: products of whole numbers and of other such constants of the file. */
function constantOf(file: string, name: string): number {
  const [, expression] = new RegExp(`^(?:export )?const ${name} = ([\\w *]+)$`, 'm').exec(read(file)) ?? []
  assert.ok(expression !== undefined, `${file} has no constant ${name} that is a product of numbers`)
  return expression.replaceAll(/ \*\* /g, '^').split(' * ').reduce((product, factor) => {
    const [base = '', power = '1'] = factor.split('^')
    return product * (/^\d/.test(base) ? Number(base.replaceAll('_', '')) : constantOf(file, base)) ** Number(power)
  }, 1)
}

test('the guide to limits gives the values that the code has', () => {
  const rows = [...read('docs/guides/limits.md').matchAll(/^\| `([A-Z_]+)` \| `([\w/.-]+)` \| ([^|]+) \|/gm)]
  assert.ok(rows.length > 40, 'the tables were not found')
  const wrong = rows.filter(([, name, file, value]) => constantOf(file!, name!) !== valueOf(value!)).map(([, name, file, value]) => `${name}: the guide says ${value?.trim()}, ${file} says ${constantOf(file!, name!)}`)
  assert.deepEqual(wrong, [])
})

test('every page and file that the documentation links to is there', () => {
  const folders = ['.', 'docs/guides', 'docs/decisions', 'src/protocols/postgres']
  const pages = folders.flatMap((folder) => readdirSync(join(root, folder)).filter((file) => file.endsWith('.md')).map((file) => join(folder, file)))
  const dead = pages.flatMap((page) => [...read(page).matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)].map(([, to]) => relative(root, join(root, dirname(page), to!))).filter((to) => !existsSync(join(root, to))).map((to) => `${page} → ${to}`))
  assert.deepEqual(dead, [])
})
