// The page of the reviews: what waits for the person who is signed in, complete and inert, and their decision. It asks the API
// for everything and keeps nothing. A decision names the binding of what was shown: another review is never decided by it.
import { detailOf, listOf, tick } from './views.js'

const POLL_EVERY_MS = 15_000
const SAID_FOR_MS = 5_000
const REQUEST_TIMEOUT_MS = 15_000

const $ = (id) => document.getElementById(id)
const state = { tab: 'waiting', reviews: null, shown: null, skewMs: 0, away: false, me: null, whole: null }

async function ask(method, path, body) {
  const answer = await fetch(path, {
    method,
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    headers: body === undefined ? {} : { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const read = await answer.json()
  if (answer.ok) return read
  throw Object.assign(new Error(read.error?.message ?? 'the gateway refused'), { status: answer.status })
}

const wanted = () => /^\/reviews\/([A-Za-z0-9_-]+)$/.exec(location.pathname)?.[1] ?? null
const nowMs = () => Date.now() + state.skewMs

function say(words) {
  $('said').textContent = words
  clearTimeout(say.timer)
  say.timer = setTimeout(() => {
    $('said').textContent = ''
  }, SAID_FOR_MS)
}

async function refresh() {
  try {
    const { nowMs: theirs, reviews } = await ask('GET', '/api/reviews')
    state.skewMs = theirs - Date.now()
    state.reviews = reviews
    setAway(false)
    await show()
  } catch (error) {
    if (error.status === 401) return signedOut('')
    setAway(true)
    if (state.reviews !== null) await show().catch(() => {})
  }
}

async function showOrSayWhy() {
  try {
    await show()
  } catch (error) {
    if (error.status === 401) return signedOut('')
    setAway(true)
  }
}

function setAway(away) {
  state.away = away
  $('banner').hidden = !away
  $('banner').textContent = away ? 'The gateway does not answer. What you see may be old, and nothing can be decided; trying again.' : ''
  $('main').classList.toggle('stale', away)
  for (const button of document.querySelectorAll('.decide .button')) button.toggleAttribute('data-away', away)
  tick(nowMs(), away)
}

/** The list has only the beginning of a text: what is decided is read whole, and again when its state has changed. */
async function whole(id) {
  const listed = state.reviews.find((review) => review.id === id)
  if (state.whole?.id === id && (listed === undefined || listed.state === state.whole.state)) return state.whole
  try {
    state.whole = await ask('GET', `/api/reviews/${id}`)
  } catch (error) {
    if (error.status !== 404) throw error
    state.whole = null
  }
  return state.whole
}

async function show() {
  const id = wanted()
  const chosen = id === null ? null : await whole(id)
  const main = $('main')
  if (!main.classList.contains('desk')) {
    main.className = 'desk'
    main.replaceChildren(
      Object.assign(document.createElement('nav'), { className: 'queue', ariaLabel: 'Reviews' }),
      Object.assign(document.createElement('section'), { className: 'detail', ariaLabel: 'Review' }),
    )
    state.shown = null
  }
  main.classList.toggle('one', id !== null)
  const waiting = state.reviews.filter((review) => review.state === 'waiting')
  document.title = `${waiting.length > 0 ? `(${waiting.length}) ` : ''}Reviews · Sluice`
  const listed = state.tab === 'waiting' ? waiting.sort((a, b) => a.createdAtMs - b.createdAtMs) : state.reviews.filter((review) => review.state !== 'waiting')
  main.children[0].replaceChildren(
    listOf(listed, {
      tab: state.tab,
      waiting: waiting.length,
      chosen: id,
      pick: (tab) => {
        state.tab = tab
        void showOrSayWhy()
      },
      open,
    }),
  )
  const key = JSON.stringify([id, chosen?.state, chosen?.id])
  if (key !== state.shown) {
    state.shown = key
    main.children[1].replaceChildren(detailOf(chosen, id, { decide, open }))
  }
  tick(nowMs(), state.away)
}

function open(id) {
  history.pushState(null, '', id === null ? '/' : `/reviews/${id}`)
  void showOrSayWhy()
  if (id !== null) scrollTo(0, 0)
}

async function decide(review, decision, comment, buttons) {
  for (const button of buttons) button.setAttribute('data-busy', '')
  tick(nowMs(), state.away)
  try {
    await ask('POST', `/api/reviews/${review.id}/${decision}`, { binding: review.binding, ...(comment === '' ? {} : { comment }) })
    say(decision === 'approve' ? 'Approved.' : 'Denied.')
  } catch (error) {
    if (error.status === 401) return signedOut('')
    say(error.status === undefined ? 'The gateway did not answer. Whether this was decided shows when it is back.' : `Not decided: ${error.message}`)
  }
  for (const button of buttons) button.removeAttribute('data-busy')
  await refresh()
}

const FAILURES = {
  refused: 'The provider or the gateway did not accept this sign-in.',
  'too-late': 'The sign-in took too long, or was started elsewhere. Try again.',
  'provider-away': 'The identity provider does not answer.',
  'unknown-issuer': 'No identity provider is configured for this.',
}

async function signedOut(failure) {
  const main = $('main')
  main.className = 'signin'
  $('logout').hidden = true
  $('who').textContent = ''
  state.me = null
  const issuers = await ask('GET', '/login/issuers').catch(() => null)
  const heading = Object.assign(document.createElement('h1'), { textContent: 'Reviews' })
  const hint = Object.assign(document.createElement('p'), { className: 'hint', textContent: 'Sign in to see what waits for you, and to decide.' })
  const choices = Object.assign(document.createElement('div'), { className: 'choices' })
  const next = wanted() === null ? '/' : location.pathname
  for (const { name } of issuers ?? [])
    choices.append(
      Object.assign(document.createElement('a'), {
        className: 'button yes',
        href: `/login?issuer=${encodeURIComponent(name)}&next=${encodeURIComponent(next)}`,
        textContent: issuers.length === 1 ? 'Sign in' : `Sign in with ${name}`,
      }),
    )
  if (issuers !== null && issuers.length === 0)
    choices.append(
      Object.assign(document.createElement('p'), {
        className: 'hint',
        textContent: 'No identity provider is configured. `sluice reviews` works with any token.',
      }),
    )
  const said =
    failure === '' ? [] : [Object.assign(document.createElement('p'), { className: 'alarm', textContent: FAILURES[failure] ?? 'The sign-in failed.' })]
  main.replaceChildren(heading, hint, ...said, choices)
  if (issuers === null) setAway(true)
}

async function start() {
  const failure = new URLSearchParams(location.search).get('login')
  if (failure !== null) history.replaceState(null, '', location.pathname)
  try {
    state.me = await ask('GET', '/api/whoami')
  } catch (error) {
    if (error.status === 401) return signedOut(failure ?? '')
    setAway(true)
    setTimeout(start, 3_000)
    return
  }
  $('who').textContent = state.me.subject
  $('logout').hidden = false
  const main = $('main')
  main.className = 'desk'
  main.replaceChildren(
    Object.assign(document.createElement('nav'), { className: 'queue', ariaLabel: 'Reviews' }),
    Object.assign(document.createElement('section'), { className: 'detail', ariaLabel: 'Review' }),
  )
  main.children[0].append(...Array.from({ length: 3 }, () => Object.assign(document.createElement('div'), { className: 'bone' })))
  await refresh()
  follow()
}

function follow() {
  const source = new EventSource('/api/reviews/stream')
  source.addEventListener('changed', () => void refresh())
  source.addEventListener('error', () => {
    if (source.readyState === EventSource.CLOSED)
      setTimeout(() => {
        if (state.me !== null) follow()
      }, POLL_EVERY_MS)
  })
  clearInterval(follow.timer)
  follow.timer = setInterval(() => {
    if (state.me !== null) void refresh()
  }, POLL_EVERY_MS)
}

setInterval(() => tick(nowMs(), state.away), 1_000)
addEventListener('popstate', () => {
  if (state.reviews !== null) void showOrSayWhy()
})
$('logout').addEventListener('click', async () => {
  await ask('POST', '/logout').catch(() => {})
  location.href = '/'
})
void start()
