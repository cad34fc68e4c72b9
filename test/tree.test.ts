// The tree is the architecture, and this holds it: who may import whom, no file that nothing uses, no file that is two ideas.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const LINES_MAX = 500
const BANNED_FOLDERS = /(^|\/)(utils?|common|helpers?|services?|misc|lib)\//
/** Folder of src/ → what it may import beside itself. `*` stands for everything. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [], sql: [], shell: [], detect: [], attack: [], tokens: [],
  content: ['core', 'detect'],
  wire: ['core'],
  protocols: ['core', 'wire', 'sql', 'shell', 'detect', 'tokens', 'content'],
  auth: ['core'], store: ['core'], tunnel: ['core'],
  api: ['core', 'auth', 'store'],
  cli: ['api/schema.ts', 'main.ts', 'config.ts', 'core', 'store/record', 'demo', 'attack'],
  config: ['core'], 'config.ts': ['config', 'core'],
  gateway: ['*'], demo: ['*'], 'main.ts': ['*'],
}
/** Processes, threads and programs begin here, not by an import. */
const ENTRIES = ['src/main.ts', 'src/cli/index.ts']

const root = fileURLToPath(new URL('..', import.meta.url))
const sources = filesBelow('src')
const imports = new Map(sources.map(file => [file, importsOf(file)]))

test('every folder imports only what the design lets it import', () => {
  const crossings: string[] = []
  for (const [file, targets] of imports) {
    if (file.endsWith('.test.ts')) continue
    const from = folderOf(file)
    const allowed = MAY_IMPORT[from]
    assert.ok(allowed, `src/${from} has no line in this test's list`)
    for (const target of targets) {
      const to = target.slice('src/'.length)
      const within = folderOf(target) === from && (from !== 'protocols' || sameProtocol(file, target))
      if (!within && !allowed.some(name => name === '*' || to === name || to.startsWith(`${name}/`))) crossings.push(`${file} → ${target}`)
    }
  }
  assert.deepEqual(crossings, [])
})

test('core opens no socket and no database', () => {
  const foreign = sources.filter(file => file.startsWith('src/core/') && !file.endsWith('.test.ts') && /from '(node:(net|tls|http|https|child_process|worker_threads|dgram)|pg)'/.test(read(file)))
  assert.deepEqual(foreign, [])
})

test('no source file is over 500 lines', () => {
  const long = [...sources, ...filesBelow('test'), ...filesBelow('bench'), ...filesBelow('scripts')].filter(file => read(file).split('\n').length - 1 > LINES_MAX)
  assert.deepEqual(long, [])
})

test('no folder has a name that means nothing', () => {
  assert.deepEqual(tracked().filter(file => BANNED_FOLDERS.test(file)), [])
})

test('no file is dead: each is reached from the program or one of its tests', () => {
  const reached = new Set<string>()
  const queue = [...ENTRIES.filter(file => imports.has(file)), ...sources.filter(file => file.endsWith('.test.ts')), ...filesBelow('test').flatMap(importsOf), ...filesBelow('bench').flatMap(importsOf)]
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (reached.has(file)) continue
    reached.add(file)
    queue.push(...(imports.get(file) ?? []))
  }
  assert.deepEqual(sources.filter(file => !reached.has(file) && !file.endsWith('.d.ts')), [])
})

test('nothing committed points outside the repository', () => {
  const outside = new RegExp(['\\.\\./' + 'shared\\b', '/work' + '/(main|shared)', '/tmp/' + 'brief'].join('|'))
  const found = tracked().filter(file => /\.(ts|mjs|js|json|md|ya?ml|sql|sh|py|toml)$|^bin\/|^\.ci\//.test(file) && existsSync(join(root, file)) && outside.test(read(file)))
  assert.deepEqual(found, [])
})

function importsOf(file: string): string[] {
  const found: string[] = []
  for (const [, dynamic, from] of read(file).matchAll(/\bimport\(\s*'(\.[^']+)'|^\s*(?:import|export)\b[^;'"]*?'(\.[^']+)'/gm)) found.push(dynamic ?? from ?? '')
  for (const [, started] of read(file).matchAll(/new URL\([`'](\.[^`'$]+)/g)) if (started !== undefined) found.push(/\.(ts|js|json|sql)$|\/$/.test(started) ? started : `${started}.ts`)
  return found.map(path => relative(root, join(root, dirname(file), path)).replace(/\.js$/, '.ts')).filter(path => path.startsWith('src/') && path.endsWith('.ts'))
}

/** Protocols share protocol.ts and the suite; the list knows them all. */
function sameProtocol(file: string, target: string): boolean {
  const protocol = (path: string) => path.split('/').length > 3 ? path.split('/')[2] : null
  return protocol(target) === null || protocol(file) === protocol(target) || file === 'src/protocols/index.ts'
}

function folderOf(file: string): string { return file.split('/')[1] ?? '' }
function read(file: string): string { return readFileSync(join(root, file), 'utf8') }
function tracked(): string[] {
  if (!existsSync(join(root, '.git'))) return [...sources, ...filesBelow('test')]
  return execFileSync('git', ['-c', 'safe.directory=*', 'ls-files'], { cwd: root, encoding: 'utf8', maxBuffer: 1 << 24 }).split('\n').filter(Boolean)
}
function filesBelow(folder: string): string[] {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && /\.(ts|tsx|mts)$/.test(entry.name)).map(entry => relative(root, join(entry.parentPath, entry.name)))
}
