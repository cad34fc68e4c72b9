// The demo's sluice.yaml: written at each start, because ports and paths may have changed. Edit a copy of it, not this one.
import { AGENT } from './people.ts'
import { CLIENT_ID } from './issuer.ts'

export interface Settings { readonly web: number; readonly postgres: number; readonly issuer: string; readonly address: string; readonly username: string; readonly passwordFile: string }

export function settingsText(settings: Settings): string {
  return `# Written by \`sluice demo\` at each start: copy it to change it.
gateway:
  data: ./gateway
  tls: auto
  listen: { web: "127.0.0.1:${settings.web}", postgres: "127.0.0.1:${settings.postgres}" }
  admins: { groups: [platform] }
  auditors: { groups: [audit] }
  heads: ./heads
identity:
  issuers:
    - { name: demo, issuer: "${settings.issuer}", audience: ${CLIENT_ID}, subject: email, groups: groups, client_id: ${CLIENT_ID} }
resources:
  - name: orders
    protocol: postgres
    address: ${JSON.stringify(settings.address)}
    database: orders
    tls: disable
    credential: { username: ${settings.username}, password: { file: ${JSON.stringify(settings.passwordFile)} } }
    labels: { env: demo, data: customer }
policies:
  - name: support
    who: { groups: [support, support-agents] }      # kim, and ${AGENT.id} who acts for kim
    on: { resources: [orders] }
    allow: [read, write]
    deny:
      - { name: no-ddl, operations: [sql.drop, sql.truncate, sql.alter, sql.create, sql.grant], message: "schema changes go through migrations" }
    review:
      - { name: changes, operations: [sql.insert, sql.update, sql.delete], reviewers: { groups: [leads] }, within: 15m }
      - { name: bulk-export, rows: 1000, reviewers: { groups: [security] }, within: 15m }
    mask:
      - { fields: ["public.customers.ssn", "*.card_number"], with: redact, lookups: 10/1m }
      - { fields: ["public.customers.email"], with: partial }
      - { detect: [us-ssn, credit-card, email], with: redact }
  - name: leads-read
    who: { groups: [leads] }                         # sam
    on: { resources: [orders] }
    allow: [read]
    mask:
      - { fields: ["public.customers.ssn", "*.card_number"], with: redact }
  - name: administrators
    who: { groups: [dba] }                           # ana
    on: { resources: [orders] }
    allow: [read, write, admin]
    deny:
      - { name: no-drop, operations: [sql.drop, sql.truncate], message: "schema changes go through migrations" }
`
}
