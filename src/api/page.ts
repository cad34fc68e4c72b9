// Serves the page of the reviews: a few files, read once, under a policy that lets nothing but them run. What the page shows it
// asks of the API.
import { readFileSync } from 'node:fs'
import { other, type Api, route } from './route.ts'
import { idParameter } from './schema.ts'

const FOLDER = new URL('./page/', import.meta.url)
const FILES = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/page.css': ['page.css', 'text/css; charset=utf-8'],
  '/page.js': ['page.js', 'text/javascript; charset=utf-8'],
  '/views.js': ['views.js', 'text/javascript; charset=utf-8'],
  '/inert.js': ['inert.js', 'text/javascript; charset=utf-8'],
} as const

export function page(api: Api): void {
  for (const [path, [file, type]] of Object.entries(FILES)) {
    const content = readFileSync(new URL(file, FOLDER), 'utf8')
    route(api, 'anyone', other({ method: 'get', path, summary: 'The page of the reviews' }, type), (c) =>
      c.body(content, 200, { 'content-type': type, 'cache-control': 'no-cache' }),
    )
    if (path === '/')
      route(api, 'anyone', other({ method: 'get', path: '/reviews/{id}', request: { params: idParameter }, summary: 'The page, at one review' }, type), (c) =>
        c.body(content, 200, { 'content-type': type, 'cache-control': 'no-cache' }),
      )
  }
}
