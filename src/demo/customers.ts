// Believable customers, orders and payments, the same at every start. Nobody in here exists: names are drawn from lists, SSNs and card
// numbers are well-formed and invented, e-mail addresses end in reserved domains.

export const CUSTOMERS = 10_000
export const ORDERS = 15_000
const SEED = 0x51_1c_e0
const DAY_MS = 86_400_000
/** The newest order; fixed, so that two demos show the same. */
const LAST_DAY_MS = Date.UTC(2026, 9, 31)

const FIRST = ['Maria', 'James', 'Aisha', 'Chen', 'Olivia', 'Noah', 'Priya', 'Lucas', 'Fatima', 'Ivan', 'Sofia', 'Kwame', 'Hannah', 'Diego', 'Yuki', 'Emma', 'Omar', 'Ingrid', 'Mateo', 'Leila', 'Peter', 'Grace', 'Samuel', 'Nadia', 'Victor', 'Elena', 'Tariq', 'Julia', 'Andre', 'Mei', 'Robert', 'Zoe']
const LAST = ['Novak', 'Okafor', 'Smith', 'Garcia', 'Tanaka', 'Johansson', 'Patel', 'Kowalski', 'Hassan', 'Brown', 'Silva', 'Müller', 'Nguyen', 'Rossi', 'Cohen', 'Larsen', 'Mensah', 'Ivanova', 'Dubois', 'Kim', 'O\'Brien', 'Haddad', 'Fischer', 'Lopez', 'Wang', 'Eriksen', 'Adeyemi', 'Moreau', 'Santos', 'Walker', 'Ricci', 'Sharma']
const CITIES = ['Portland', 'Austin', 'Denver', 'Chicago', 'Boston', 'Seattle', 'Atlanta', 'Phoenix', 'Columbus', 'Raleigh', 'Omaha', 'Tucson', 'Tampa', 'Madison', 'Boise', 'Reno']
const ITEMS = ['espresso machine', 'desk lamp', 'trail shoes', 'noise-cancelling headphones', 'standing desk', 'water filter', 'cast-iron pan', 'road bike', 'monitor arm', 'rain jacket', 'mechanical keyboard', 'air purifier', 'camping stove', 'backpack', 'e-reader', 'office chair']
const STATUSES = ['delivered', 'delivered', 'delivered', 'shipped', 'paid', 'refunded'] as const
const PLAIN_NOTES = ['prefers to be called in the afternoon', 'moved last year, check the address', 'asked for a paper invoice', 'long-standing customer, be generous with returns', 'complained about a late delivery in spring', 'speaks little English', 'has two accounts, this is the one in use']

/** One list per column: what `unnest` takes. */
export interface DemoData {
  readonly customers: { readonly id: number[]; readonly name: string[]; readonly email: string[]; readonly phone: string[]; readonly ssn: string[]; readonly city: string[]; readonly since: string[]; readonly note: (string | null)[] }
  readonly orders: { readonly id: number[]; readonly customer: number[]; readonly item: string[]; readonly cents: number[]; readonly status: string[]; readonly at: string[] }
  readonly payments: { readonly id: number[]; readonly order: number[]; readonly card: string[]; readonly cents: number[]; readonly at: string[] }
}

export function makeData(): DemoData {
  const random = mulberry32(SEED)
  const below = (limit: number) => Math.floor(random() * limit)
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!
  const digits = (count: number) => Array.from({ length: count }, () => below(10)).join('')
  const data: DemoData = {
    customers: { id: [], name: [], email: [], phone: [], ssn: [], city: [], since: [], note: [] },
    orders: { id: [], customer: [], item: [], cents: [], status: [], at: [] },
    payments: { id: [], order: [], card: [], cents: [], at: [] },
  }
  const cards: string[] = []
  for (let id = 1; id <= CUSTOMERS; id++) {
    const [first, last] = [pick(FIRST), pick(LAST)]
    const email = `${plain(first)}.${plain(last)}${id}@${pick(['example.com', 'example.org', 'example.net'])}`
    const ssn = socialSecurityNumber(below)
    const card = cardNumber(pick(['4', '51', '52', '53', '54', '55', '37']), digits)
    cards.push(card)
    add(data.customers, {
      id, name: `${first} ${last}`, email, phone: `+1-${200 + below(700)}-555-${digits(4)}`, ssn, city: pick(CITIES),
      since: day(LAST_DAY_MS - below(3_000) * DAY_MS), note: noteOf(below, { email, ssn, card, plain: pick(PLAIN_NOTES) }),
    })
  }
  for (let id = 1; id <= ORDERS; id++) {
    const customer = id <= CUSTOMERS ? id : 1 + below(CUSTOMERS)
    const atMs = LAST_DAY_MS - below(700) * DAY_MS - below(DAY_MS)
    const cents = 900 + below(240_000)
    const at = new Date(atMs).toISOString()
    add(data.orders, { id, customer, item: pick(ITEMS), cents, status: pick(STATUSES), at })
    add(data.payments, { id, order: id, card: cards[customer - 1]!, cents, at })
  }
  return data
}

function add<T extends Readonly<Record<string, unknown[]>>>(columns: T, row: { readonly [C in keyof T]: T[C][number] }): void {
  for (const [column, values] of Object.entries(columns)) values.push(row[column])
}

/** One in twelve notes holds what should never have been written there. */
function noteOf(below: (limit: number) => number, value: { email: string; ssn: string; card: string; plain: string }): string | null {
  switch (below(36)) {
    case 0: return `identity checked by phone, SSN ${value.ssn}`
    case 1: return `card on file ${value.card.replaceAll(/(\d{4})(?=\d)/g, '$1 ')}, asked us to keep it`
    case 2: return `write to ${value.email} instead of calling`
    default: return below(2) === 0 ? value.plain : null
  }
}

/** Areas that were never given out (000, 666, 900 and up) are left out, or no detector would believe it. */
function socialSecurityNumber(below: (limit: number) => number): string {
  const area = 1 + below(898)
  return `${pad(area === 666 ? 667 : area, 3)}-${pad(1 + below(99), 2)}-${pad(1 + below(9_999), 4)}`
}

export function cardNumber(prefix: string, digits: (count: number) => string): string {
  const length = prefix.startsWith('3') ? 15 : 16
  const body = prefix + digits(length - prefix.length - 1)
  let sum = 0
  for (let at = body.length - 1, double = true; at >= 0; at--, double = !double) {
    const digit = Number(body[at]) * (double ? 2 : 1)
    sum += digit > 9 ? digit - 9 : digit
  }
  return body + String((10 - sum % 10) % 10)
}

function plain(name: string): string { return name.toLowerCase().normalize('NFD').replaceAll(/[^a-z]/g, '') }
function pad(value: number, width: number): string { return String(value).padStart(width, '0') }
function day(atMs: number): string { return new Date(atMs).toISOString().slice(0, 10) }

/** A small generator with a seed of its own. Not for secrets. */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
