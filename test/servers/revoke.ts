// Revokes a token by its issuer and id, as an admin does it; run by the corpus' runner. Usage: revoke.ts PORT TOKEN-FILE ISSUER JTI
import { readFileSync } from 'node:fs'
import { callApi } from './api.ts'

const [port, file, issuer, tokenId] = process.argv.slice(2)
const answer = await callApi(Number(port), readFileSync(file!, 'utf8'), 'POST', '/api/identity/revoke', { kind: 'token-id', issuer, tokenId, reason: 'a test' })
if (answer.status !== 200) { console.error(answer.status, answer.text); process.exit(1) }
