// Lines as people and programs write them, labelled by hand: the text between ⟦kind: and ⟧ is a value of that kind. Keys are left to the
// generator, so that no scanner of repositories takes a line for a leak.
export const LINES: readonly string[] = [
  'Please call me back at ⟦phone:(415) 555-2671⟧ or write to ⟦email:jo.doe+work@example.co.uk⟧.',
  'Caller gave SSN ⟦us-ssn:219-09-9998⟧, DOB 1980-03-14, verified at 10:42:07.',
  '{"email":"⟦email:ana@example.com⟧","ip":"⟦ip:203.0.113.77⟧","v":"1.2.3"}',
  'card ⟦credit-card:4242 4242 4242 4242⟧ exp 12/29 cvc 123',
  'INSERT INTO t VALUES (1, \'⟦email:x@example.org⟧\', \'2024-02-30\', 42);',
  'refund to ⟦iban:DE89 3704 0044 0532 0130 00⟧ by Friday',
  'GET /v1/users/8812/orders?from=2024-01-01&to=2024-01-31 HTTP/1.1 from ⟦ip:198.51.100.4⟧',
  'mailto:⟦email:support@example.com⟧?subject=Order%2012345',
  '2024-05-01T10:00:00Z WARN host=db-3.internal pid=4242 latency=12.75ms',
  'commit 9fceb02d0ae598e95dc970b74767f19372d61af8 fixes #1234, see CVE-2024-12345',
  'https://example.com/orders/4539148803436468/items?page=2',
  'Meeting 555-1234 ext 99, room 212.',
  'Build 10.0.19045.3803 on x86_64, kernel 6.1.0-18-amd64',
  'Postgres 16.2 listens on ⟦ip:127.0.0.1⟧:5432 and [⟦ip:::1⟧]:5432',
  'invoice INV-2024-00012345 total EUR 1.234,56 (VAT DE123456789)',
  'lat 52.520008 lon 13.404954 acc 12.5',
  'The ratio 3:2:1, the score 21-19-21, the year 2019-2020.',
  'std::vector<int> a::b::c; x ? y : z; key:value:other',
  'tel. ⟦phone:+49 30 901820⟧ / fax ⟦phone:+49 30 901821⟧',
  '⟦email:"john doe"@example.com⟧ wrote: see @jane and user@localhost',
  'git clone git@⟦:⟧github.com:org/repo.git',
  'CUSIP 037833100, ISIN US0378331005, LEI 5493001KJTIIGC8Y1R12',
  'EAN 4006381333931, UPC 012345678905, IMEI 490154203237518',
  'MAC 00:1B:44:11:3A:B7, serial 000-123-45, SKU 123-45-678',
  'passport C01X00T47, licence D123-4567-8901, plate B-MW 1234',
  'social security ⟦us-ssn:078-05-1120⟧; not 078-05-11201 nor 1078-05-1120',
  'cards: ⟦credit-card:378282246310005⟧, ⟦credit-card:6011-1111-1111-1117⟧ and ⟦credit-card:5555555555554444⟧',
  'uuid 123e4567-e89b-12d3-a456-426614174000 etag "33a64df551425fcc55e4d42a148795d9f25f89d4"',
  'up 12 days, 3:04, load average: 0.52, 0.58, 0.59',
  'phone list: ⟦phone:212-555-0199⟧; ⟦phone:1-800-555-0100⟧; internal 4711',
  'ipv6 ⟦ip:2001:db8:85a3::8a2e:370:7334⟧/64 via ⟦ip:fe80::1⟧%eth0',
  'range 10.0.0.0-10 is not one, 999.1.1.1 neither, 1.2.3 no, ⟦ip:192.0.2.1⟧ yes',
  'a.b@c and a@b.c are no addresses, ⟦email:a@b.example⟧ is',
  '0000000000000000 4111111111111112 1234567890123456 1111-2222-3333-4444',
  'GB29 NWBK 6016 1331 9268 18 has a wrong check, ⟦iban:GB29 NWBK 6016 1331 9268 19⟧ has not',
  'Order 2024-0042-0001 shipped in box 12-34-56',
]
export interface Value { readonly kind: string; readonly from: number; readonly to: number }
/** A line without its marks, and where its values lie, in bytes. */
export function unmarked(line: string): { readonly text: string; readonly values: readonly Value[] } {
  let text = ''
  const values: Value[] = []
  for (const [part, kind, value] of line.matchAll(/⟦([a-z-]*):(.*?)⟧|[^⟦]+/gs)) {
    if (kind === undefined) { text += part; continue }
    const from = Buffer.byteLength(text)
    text += value
    if (kind !== '') values.push({ kind, from, to: Buffer.byteLength(text) })
  }
  return { text, values }
}
