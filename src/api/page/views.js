// What the page of the reviews looks like: the list and one review, as elements made of text nodes. Nothing here asks or decides.
import { census, inert, inertPlain } from './inert.js'

/** Beyond this many lines they are not numbered; they are all there. */
const NUMBERED_LINES_MAX = 5_000
/** Beyond this many signs they are plain text: a text made to stall the page stays readable. */
const SIGNS_MAX = 20_000
const SUMMARY_CHARACTERS = 160
/** Fractions of a pixel and the padding don't hide a line. */
const AT_END_PIXELS = 4

const make = (name, properties = {}, ...children) => {
  const { className, ...rest } = properties
  const made = Object.assign(document.createElement(name), rest)
  if (className !== undefined) made.className = className
  made.append(...children)
  return made
}

export function listOf(reviews, { tab, waiting, chosen, pick, open }) {
  const made = document.createDocumentFragment()
  const tabs = make(
    'div',
    { className: 'tabs' },
    ...[
      ['waiting', waiting > 0 ? `Waiting ${waiting}` : 'Waiting'],
      ['decided', 'Decided'],
    ].map(([name, words]) => {
      const button = make('button', { type: 'button', textContent: words, onclick: () => pick(name) })
      button.setAttribute('aria-pressed', String(tab === name))
      return button
    }),
  )
  made.append(tabs)
  if (reviews.length === 0) {
    made.append(
      make(
        'div',
        { className: 'empty' },
        make('strong', { textContent: tab === 'waiting' ? 'Nothing waits for you' : 'Nothing was decided yet' }),
        tab === 'waiting' ? 'A review addressed to you appears here by itself.' : '',
      ),
    )
    return made
  }
  made.append(make('ul', {}, ...reviews.map((review) => make('li', {}, itemOf(review, chosen, open)))))
  return made
}

function itemOf(review, chosen, open) {
  const item = make(
    'a',
    { className: 'item', href: `/reviews/${review.id}` },
    make(
      'div',
      { className: 'top' },
      make('span', { className: 'asker' }, inert(askerOf(review))),
      review.state === 'waiting' ? ageOf(review) : badgeOf(review.state),
    ),
    make(
      'div',
      { className: 'on' },
      `${review.mine ? 'yours · ' : ''}`,
      inert(review.resource),
      ' · ',
      inert(review.rule),
      review.textLines > 1 ? ` · ${count(review.textLines, 'line')}` : '',
    ),
    make('div', { className: 'line' }, inert(review.summary.slice(0, SUMMARY_CHARACTERS).replace(/\s+/g, ' '))),
  )
  if (review.id === chosen) item.setAttribute('aria-current', 'true')
  item.addEventListener('click', (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return
    event.preventDefault()
    open(review.id)
  })
  return item
}

const askerOf = (review) => (review.onBehalfOf === null ? review.requester : `${review.requester} for ${review.onBehalfOf}`)
const badgeOf = (state) => make('span', { className: `badge ${state}`, textContent: state })
function ageOf(review) {
  const age = make('span', { className: 'age' })
  age.dataset.since = String(review.createdAtMs)
  return age
}

export function detailOf(review, id, { decide, open }) {
  if (review === null)
    return id === null
      ? make('div', { className: 'empty' }, make('strong', { textContent: 'No review chosen' }), 'Choose one on the left to read it.')
      : make(
          'div',
          {},
          backOf(open),
          make('div', { className: 'empty' }, make('strong', { textContent: 'No such review' }), 'It does not exist, or it is addressed to others.'),
        )
  const made = make(
    'article',
    {},
    backOf(open),
    make(
      'h1',
      {},
      inert(askerOf(review)),
      ` ${review.state === 'waiting' ? 'asks' : 'asked'} ${review.kind === 'answer' ? 'for more of an answer from' : 'to run this on'} `,
      inert(review.resource),
      ' ',
      badgeOf(review.state),
    ),
    make('p', { className: 'reason' }, inert(review.reason)),
    factsOf(review),
    ...textOf(review),
    ...parametersOf(review.parameters),
  )
  const text = made.querySelector('.text')
  made.append(
    review.state !== 'waiting'
      ? verdictOf(review)
      : review.mayNotDecide !== null
        ? make(
            'div',
            { className: 'verdict' },
            make('p', { textContent: `You can't decide this: ${review.mayNotDecide}.` }),
            make('p', { textContent: `It waits for ${reviewersOf(review)}.` }),
          )
        : formOf(review, text, decide),
  )
  return made
}

function backOf(open) {
  return make('a', {
    className: 'back',
    href: '/',
    textContent: '← All reviews',
    onclick: (event) => {
      event.preventDefault()
      open(null)
    },
  })
}

function factsOf(review) {
  const fact = (name, ...value) => make('div', {}, make('dt', { textContent: name }), make('dd', {}, ...value))
  const expires = make('span')
  expires.dataset.until = String(review.expiresAtMs)
  const waited = ageOf(review)
  waited.className = ''
  const open = review.state === 'waiting'
  return make(
    'dl',
    { className: 'facts' },
    fact(review.onBehalfOf === null ? 'Who' : 'Agent', inert(review.requester)),
    ...(review.onBehalfOf === null ? [] : [fact('On behalf of', inert(review.onBehalfOf))]),
    fact('Resource', inert(review.resource), ...(review.database === review.resource ? [] : [' / ', inert(review.database)])),
    fact('Rule', make('code', {}, inert(review.rule))),
    ...(open ? [fact('Waiting for', waited), fact('Expires in', expires)] : [fact('Asked', new Date(review.createdAtMs).toLocaleString())]),
    ...(open
      ? [fact('If approved', review.kind === 'answer' ? 'this answer goes on' : review.wait === 'hold' ? 'it runs now, once' : 'it may be sent again, once')]
      : []),
    fact('Session', make('code', {}, inert(review.session))),
  )
}

function textOf({ text, kind, state }) {
  const heading =
    kind === 'answer'
      ? 'The statement whose answer is paused'
      : state === 'waiting' || state === 'approved'
        ? 'What would run'
        : state === 'used'
          ? 'What ran'
          : 'What would have run'
  const lines = text.split('\n')
  const { unseen, foreign } = census(text)
  const shown = unseen + foreign > SIGNS_MAX ? inertPlain : inert
  const box = make('div', { className: 'text', tabIndex: 0, role: 'region', ariaLabel: 'Complete text' })
  box.setAttribute('translate', 'no')
  if (lines.length <= NUMBERED_LINES_MAX)
    box.append(...lines.map((line) => make('div', { className: 'row' }, make('div', { className: 'exact' }, shown(line)))))
  else box.append(make('div', { className: 'exact' }, ...lines.flatMap((line) => [shown(line), '\n'])))
  const alarms = []
  if (unseen > 0) alarms.push(`${count(unseen, 'character')} in it would be invisible or move others; they are shown as signs.`)
  if (foreign > 0)
    alarms.push(
      `${count(foreign, 'character')} beyond ASCII${shown === inert ? ` ${foreign === 1 ? 'is' : 'are'} underlined` : ' in it'}: look-alikes are not the same name.`,
    )
  return [
    make(
      'h2',
      {},
      heading,
      make('span', { className: 'hint', textContent: `complete: ${count(lines.length, 'line')}, ${count([...text].length, 'character')}` }),
    ),
    ...alarms.map((words) => make('p', { className: 'alarm', textContent: words })),
    box,
    belowOf(box),
  ]
}

/** How much of the text is below what is in view. */
function belowOf(box) {
  const below = make('p', { className: 'below' })
  const look = () => {
    const pixels = box.scrollHeight - box.scrollTop - box.clientHeight
    const height = box.scrollHeight / Math.max(1, box.childElementCount)
    below.textContent =
      pixels <= AT_END_PIXELS
        ? ''
        : box.childElementCount > 1
          ? `↓ about ${count(Math.max(1, Math.round(pixels / height)), 'more line')} below`
          : '↓ more below'
  }
  box.addEventListener('scroll', look)
  requestAnimationFrame(look)
  return below
}

function parametersOf(parameters) {
  if (parameters.length === 0) return []
  return [
    make('h2', {}, 'Parameters', make('span', { className: 'hint', textContent: count(parameters.length, 'value') })),
    make(
      'dl',
      { className: 'parameters' },
      ...parameters.flatMap((value, index) => [
        make('dt', { textContent: `$${index + 1}` }),
        make('dd', { className: 'exact' }, value === '' ? make('span', { className: 'sign', textContent: 'empty' }) : inert(value)),
      ]),
    ),
  ]
}

function formOf(review, text, decide) {
  const comment = make('textarea', { id: 'comment', maxLength: 2000, placeholder: 'Shown to who asked, and kept in the record' })
  const yes = make('button', { type: 'button', className: 'button yes', textContent: 'Approve' })
  const no = make('button', { type: 'button', className: 'button no', textContent: 'Deny' })
  const hint = make('span', { className: 'hint' })
  const send = (decision) => decide(review, decision, comment.value.trim(), [yes, no])
  yes.addEventListener('click', () => send('approve'))
  no.addEventListener('click', () => send('deny'))
  // Nobody approves a tail that was never in view.
  const read = () => {
    if (text.scrollHeight - text.scrollTop - text.clientHeight > AT_END_PIXELS) return
    yes.removeAttribute('data-unread')
    hint.textContent = ''
    text.removeEventListener('scroll', read)
  }
  yes.setAttribute('data-unread', '')
  hint.textContent = 'Scroll to the end of the text to approve it.'
  text.addEventListener('scroll', read)
  requestAnimationFrame(() => {
    read()
    tick.again()
  })
  text.addEventListener('scroll', () => tick.again())
  return make(
    'form',
    { className: 'decide', onsubmit: (event) => event.preventDefault() },
    make('label', { htmlFor: 'comment', textContent: 'Comment (optional)' }),
    comment,
    make('div', { className: 'buttons' }, yes, no, hint),
  )
}

function verdictOf(review) {
  const by = review.decidedBy
  const words = {
    approved: `Approved by ${by}. ${review.wait === 'hold' ? 'It is being released.' : 'It may be sent again, once.'}`,
    used: `Approved by ${by}, and it ran.`,
    denied: `Denied by ${by}.`,
    expired: 'Expired: nobody decided or used it in time.',
    cancelled: `Cancelled: ${review.endedWhy}.`,
  }
  const when = review.endedAtMs ?? review.decidedAtMs
  return make(
    'div',
    { className: 'verdict' },
    make('p', {}, inert(words[review.state])),
    ...(review.comment === null ? [] : [make('p', {}, '“', inert(review.comment), '”')]),
    ...(when === null ? [] : [make('p', { textContent: new Date(when).toLocaleString() })]),
  )
}

const reviewersOf = ({ reviewers }) => [...reviewers.groups.map((group) => `a member of ${group}`), ...reviewers.users].join(' or ')
const count = (number, noun) => `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`

function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`
  return seconds < 86_400 ? `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min` : `${Math.floor(seconds / 86_400)} d`
}

let last = { nowMs: Date.now(), away: false }
/** Times go on; buttons are off while unread, busy, out of time or without the gateway. */
export function tick(nowMs, away) {
  last = { nowMs, away }
  for (const age of document.querySelectorAll('[data-since]')) age.textContent = duration(nowMs - Number(age.dataset.since))
  let over = false
  for (const until of document.querySelectorAll('[data-until]')) {
    over = Number(until.dataset.until) <= nowMs
    until.textContent = over ? 'expired' : duration(Number(until.dataset.until) - nowMs)
  }
  for (const button of document.querySelectorAll('.decide .button'))
    button.disabled = away || over || button.hasAttribute('data-busy') || button.hasAttribute('data-unread')
}
tick.again = () => tick(last.nowMs, last.away)
