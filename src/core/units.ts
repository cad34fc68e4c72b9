// Durations, sizes, rates and addresses as people write them in files and on command lines. Pure; null means "not one of these".
import type { Address } from './resource.ts'

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }
const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
}

/** `15m`, `90d`, `500ms`, `1h30m` → milliseconds. A bare number has no unit and is refused. */
export function parseDurationMs(text: string): number | null {
  if (!/^(\d{1,12}(ms|s|m|h|d|w))+$/.test(text)) return null
  let total = 0
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|s|m|h|d|w)/g)) total += Number(count) * (DURATION_UNITS[unit ?? ''] ?? NaN)
  return Number.isSafeInteger(total) ? total : null
}

/** `10MB`, `64KiB`, `60000` → bytes. KB is 1,000, KiB is 1,024. */
export function parseBytes(text: string): number | null {
  const parts = /^(\d{1,15})\s?([KMGT]i?B|B)?$/.exec(text)
  const total = Number(parts?.[1]) * (SIZE_UNITS[parts?.[2] ?? ''] ?? NaN)
  return parts !== null && Number.isSafeInteger(total) ? total : null
}

/** `10/1m` → ten per minute. */
export function parseRate(text: string): { readonly count: number; readonly perMs: number } | null {
  const parts = /^(\d{1,9})\/(\w+)$/.exec(text)
  const perMs = parts === null ? null : parseDurationMs(parts[2] ?? '')
  return parts === null || perMs === null || perMs === 0 ? null : { count: Number(parts[1]), perMs }
}

/** `db.internal:5432`, `[::1]:5432`, `unix:/run/db.sock`. Port 0 is taken only where something listens. */
export function parseAddress(text: string, portMin = 1): Address | null {
  if (text.startsWith('unix:')) return text.startsWith('unix:/') && text.length > 6 && !text.includes('\0') ? { path: text.slice(5) } : null
  const parts = /^(?:\[([0-9A-Fa-f:.%\w]+)\]|([A-Za-z0-9._-]+|\*)):(\d{1,5})$/.exec(text)
  const port = Number(parts?.[3])
  const host = parts?.[1] ?? parts?.[2]
  return host === undefined || port > 65_535 || port < portMin ? null : { host: host === '*' ? '::' : host, port }
}

/** Whether an address can only mean this machine. Names other than `localhost` are not looked up: they count as elsewhere. */
export function isLoopback(address: Address): boolean {
  if ('path' in address) return true
  const host = address.host.toLowerCase()
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}
