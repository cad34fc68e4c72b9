// Who is in the demo: three people, and an agent that acts for one of them.

export interface Person { readonly id: string; readonly name: string; readonly email: string; readonly groups: readonly string[]; readonly what: string }

export const PEOPLE: readonly Person[] = [
  { id: 'ana', name: 'Ana Duarte', email: 'ana@example.com', groups: ['dba', 'platform'], what: 'database administrator, runs Sluice' },
  { id: 'sam', name: 'Sam Okafor', email: 'sam@example.com', groups: ['leads', 'security', 'audit'], what: 'team lead, reviews what others ask for' },
  { id: 'kim', name: 'Kim Larsen', email: 'kim@example.com', groups: ['support'], what: 'support engineer' },
]
export const AGENT = { id: 'support-bot', actsFor: 'kim@example.com', groups: ['support-agents'] } as const
