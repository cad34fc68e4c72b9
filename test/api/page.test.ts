// The page of the reviews in a real browser: a reviewer signs in at a real OIDC provider, reads and decides; what is hostile in
// a text stays text.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { makeApi } from '../../src/api/app.ts'
import { listen, type Listening } from '../../src/api/server.ts'
import type { Store } from '../../src/store/store.ts'
import { freePort } from '../servers/postgres.ts'
import { asking, person, startStore, type StoreFixture } from '../store/fixture.ts'
import { type Gateway, makeGateway } from './fixture.ts'
import { startProvider, type TestProvider } from './provider.ts'
import { selfSigned } from './certificate.ts'

const CHROMIUM = process.env.SLUICE_CHROMIUM ?? '/usr/bin/chromium'
/** Set to a folder to look at the page. */
const SHOTS = process.env.SLUICE_SHOTS ?? null
const PAYLOAD = `UPDATE customers\nSET note = '<img src=x onerror="document.title=1"><script>document.title=2</script>'\n\u202e-- ti od\u202c \u200b\u0000\u001b[2J p\u0430yments\r\nWHERE id = $1`

describe('the page of the reviews', { skip: existsSync(CHROMIUM) ? false : 'needs chromium' }, () => {
  let fixture: StoreFixture
  let store: Store
  let gateway: Gateway
  let provider: TestProvider
  let web: Listening
  let browser: Browser
  let instance: number
  const agent = person('support-bot', ['agents'], { agent: true, onBehalfOf: 'ana@example.com' })

  before(async () => {
    fixture = await startStore()
    store = await fixture.open()
    instance = (await store.begin()).number
    const port = await freePort()
    provider = await startProvider({ id: 'sluice-web', redirect: `https://localhost:${port}/login/callback` })
    provider.groups.set('sam@example.com', ['leads'])
    provider.groups.set('ana@example.com', ['leads'])
    gateway = makeGateway(store, {
      publicUrl: `https://localhost:${port}`,
      issuers: [{ name: 'corp', issuer: provider.issuer, clientId: 'sluice-web', clientSecret: null, scopes: ['openid', 'groups'] }],
    })
    web = await listen(makeApi({ ...gateway.ports, authenticate: provider.authenticate }), { host: 'localhost', port, tls: await selfSigned() })
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] })
  })
  after(async () => {
    await browser?.close()
    await web?.close()
    provider?.stop()
    await fixture.stop()
  })

  const problems: string[] = []
  async function openPage(options: Parameters<Browser['newContext']>[0] = {}): Promise<{ context: BrowserContext; page: Page }> {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 860 }, ...options })
    const page = await context.newPage()
    page.setDefaultTimeout(8_000)
    page.on('pageerror', (error) => problems.push(String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error' && !/401|status of 404|ERR_/.test(message.text())) problems.push(message.text())
    })
    return { context, page }
  }
  const address = (path = '/') => `https://localhost:${web.port}${path}`
  async function signIn(page: Page, who: string, path = '/'): Promise<void> {
    await page.goto(address(path))
    await page.getByRole('link', { name: 'Sign in' }).click()
    await page.locator('input[name=login]').fill(who)
    await page.locator('input[name=password]').fill('x')
    await page.getByRole('button', { name: /sign-in/i }).click()
    await page.getByRole('button', { name: /continue/i }).click()
    await page.waitForURL(address(path))
    await page.getByText(who).first().waitFor()
  }
  async function shot(page: Page, name: string): Promise<void> {
    if (SHOTS === null) return
    mkdirSync(SHOTS, { recursive: true })
    for (const scheme of ['light', 'dark'] as const) {
      for (const width of [390, 1280]) {
        await page.emulateMedia({ colorScheme: scheme })
        await page.setViewportSize({ width, height: width === 390 ? 844 : 860 })
        await page.screenshot({ path: `${SHOTS}/${name}-${scheme}-${width}.png` })
      }
    }
    await page.setViewportSize({ width: 1280, height: 860 })
  }

  test('a reviewer signs in, reads everything inert, approves with a comment, and the gateway that waits hears of it', async () => {
    const review = await store.reviews.create(asking(agent, { text: PAYLOAD, parameters: ['42', '', '<b>x</b>'] }), instance)
    const decision = store.waits.decision(review.id, AbortSignal.timeout(30_000))
    const { context, page } = await openPage()
    await page.goto(address(`/reviews/${review.id}`))
    await page.getByRole('link', { name: 'Sign in' }).waitFor()
    await shot(page, 'signed-out')
    await signIn(page, 'sam@example.com', `/reviews/${review.id}`)
    const text = page.locator('.text')
    await text.waitFor()
    const shown = await text.innerText()
    for (const part of ['<script>document.title=2</script>', 'RLO', 'PDF', 'ZWSP', 'NUL', 'ESC', 'CR', 'WHERE id = $1'])
      assert.ok(shown.includes(part), `${part} is shown: ${shown}`)
    assert.doesNotMatch(shown, /[\u202e\u200b\u001b\0]/)
    assert.equal(await page.locator('.text script, .text img, .parameters b').count(), 0)
    assert.match(await page.title(), /^\(1\) Reviews/)
    await page.getByText('support-bot for ana@example.com').first().waitFor()
    await page.locator('.foreign', { hasText: '\u0430' }).first().waitFor()
    await shot(page, 'review')
    await page.getByLabel('Comment').fill('once is fine')
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByText('Approved.', { exact: true }).waitFor()
    const decided = await decision
    assert.deepEqual([decided.state, decided.decidedBy, decided.comment], ['approved', 'sam@example.com', 'once is fine'])
    await store.reviews.release(review.id, review.binding)
    await page.getByText('and it ran').waitFor()
    assert.ok(gateway.events.some(({ action, subject }) => action === 'review.approve' && subject === review.id))
    await shot(page, 'decided')
    await context.close()
  })

  test('a new review appears by itself, its tail must be read before it can be approved, and it can be denied', async () => {
    const { context, page } = await openPage()
    await signIn(page, 'sam@example.com')
    await page.getByText('Nothing waits for you').waitFor()
    await shot(page, 'empty')
    const long = `SELECT 1;${'\n'.repeat(400)}DELETE FROM customers`
    const review = await store.reviews.create(asking(agent, { text: long, rule: 'bulk-export', reason: 'it may answer 50000 rows, more than 1000' }), instance)
    for (let i = 0; i < 4; i++)
      await store.reviews.create(
        asking(person('joe@example.com', ['dev']), {
          text: `SELECT * FROM payments WHERE amount > ${i}00`,
          resource: 'billing',
          rule: 'payments-read',
          wait: 'refuse',
        }),
        instance,
      )
    await page.getByText('support-bot for ana@example.com').first().click()
    const approve = page.getByRole('button', { name: 'Approve' })
    await page.getByText('Scroll to the end of the text to approve it.').waitFor()
    assert.ok(await approve.isDisabled())
    assert.match(await page.locator('h2').first().innerText(), /401 lines/)
    await shot(page, 'long')
    await page.locator('.text').evaluate((box) => box.scrollTo(0, box.scrollHeight))
    await page.locator('.button.yes:not([disabled])').waitFor()
    await page.getByRole('button', { name: 'Deny' }).click()
    await page.getByText('Denied.', { exact: true }).waitFor()
    assert.equal((await store.reviews.get(review.id))!.state, 'denied')
    await page.getByRole('button', { name: 'Decided' }).click()
    await shot(page, 'history')
    await context.close()
  })

  test('the person behind an agent sees its review and why they may not decide it', async () => {
    const review = await store.reviews.create(asking(agent), instance)
    const { context, page } = await openPage()
    await signIn(page, 'ana@example.com', `/reviews/${review.id}`)
    await page.getByText("You can't decide this").waitFor()
    assert.equal(await page.getByRole('button', { name: 'Approve' }).count(), 0)
    await shot(page, 'own')
    await context.close()
  })

  test('when the gateway is away the page says so and decides nothing; when access is revoked it shows nothing more', async () => {
    const review = await store.reviews.create(asking(agent), instance)
    const { context, page } = await openPage()
    await signIn(page, 'sam@example.com', `/reviews/${review.id}`)
    await page.getByRole('button', { name: 'Approve' }).waitFor()
    await page.route('**/api/**', (route) => route.abort())
    // Unless the page found out by itself before, and turned the button off.
    await page
      .getByRole('button', { name: 'Approve' })
      .click({ timeout: 1_000 })
      .catch(() => {})
    await page.getByText('The gateway does not answer.').waitFor()
    assert.equal((await store.reviews.get(review.id))!.state, 'waiting')
    assert.ok(await page.getByRole('button', { name: 'Approve' }).isDisabled())
    await shot(page, 'away')
    await page.unroute('**/api/**')
    await store.revocations.revoke({ kind: 'subject', value: 'corp sam@example.com' }, 'x', 'x')
    await page.reload()
    await page.getByRole('link', { name: 'Sign in' }).waitFor()
    assert.equal(await page.locator('.text').count(), 0)
    await store.revocations.lift({ kind: 'subject', value: 'corp sam@example.com' })
    await context.close()
  })

  test('signing out ends the session, and the cookie is not readable by scripts nor sent across sites', async () => {
    const { context, page } = await openPage()
    await signIn(page, 'sam@example.com')
    const cookie = (await context.cookies()).find(({ name }) => name === '__Host-sluice-session')!
    assert.deepEqual([cookie.httpOnly, cookie.secure, cookie.sameSite, cookie.path], [true, true, 'Lax', '/'])
    assert.equal(await page.evaluate('document.cookie'), '')
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('link', { name: 'Sign in' }).waitFor()
    await assert.rejects(store.tokens.open(cookie.value), /not valid/)
    await context.close()
  })

  test('no character of any kind can hide or move others: all of Unicode is shown as itself or as a sign', async () => {
    const { context, page } = await openPage()
    await page.goto(address())
    const left = await page.evaluate(async () => {
      const { inert, inertPlain } = (await import('/inert.js' as string)) as {
        inert(text: string): { textContent: string }
        inertPlain(text: string): { textContent: string }
      }
      const found: string[] = []
      for (let from = 0; from < 0x110000; from += 0x1000) {
        if (from >= 0x40000 && from < 0xe0000) continue
        let text = ''
        for (let code = from; code < from + 0x1000; code++) if (code !== 9) text += `${String.fromCodePoint(code)}a`
        for (const shown of [inert(text), inertPlain(text)]) {
          const hidden = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{M}\u115f\u1160\u3164\uffa0\u2800]|(?! )\p{Zs}/u.exec(shown.textContent)
          if (hidden !== null) found.push(hidden[0].codePointAt(0)!.toString(16))
        }
      }
      return found
    })
    assert.deepEqual(left, [])
    await context.close()
  })

  test('a text made to stall the page is shown whole all the same', async () => {
    const asker = person('staller')
    const review = await store.reviews.create(asking(asker, { text: `SELECT 1 ${'\u200b\u200c'.repeat(80_000)} DROP TABLE tail`, parameters: [] }), instance)
    const { context, page } = await openPage()
    await signIn(page, 'sam@example.com', `/reviews/${review.id}`)
    const from = performance.now()
    await page.getByText('DROP TABLE tail').waitFor()
    assert.ok(performance.now() - from < 5_000)
    assert.ok(await page.getByRole('button', { name: 'Approve' }).isDisabled())
    await context.close()
  })

  test('the browser found nothing to complain about', () => assert.deepEqual(problems, []))
})
