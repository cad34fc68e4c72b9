// psql at a terminal: a prompt that knows the transaction's state, tab completion, Ctrl-C that ends one statement and not the session.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { environment, type Shop, type Stage, startStage, Terminal } from './stage.ts'

let stage: Stage
before(async () => { stage = await startStage() })
after(async () => { await stage?.stop() })

const TAB = '\t', CTRL_C = '\x03', CTRL_D = '\x04'
async function everyShop(body: (shop: Shop, terminal: Terminal) => Promise<void>): Promise<void> {
  for (const shop of stage.shops) {
    const terminal = new Terminal('psql -X -P pager=off -v PROMPT1="%x=> " -v PROMPT2="%x-> "', environment(stage, shop, 'agents'))
    try { await terminal.sees(/=> $/); await body(shop, terminal) } finally { await terminal.close() }
  }
}

test('tab completes tables, columns and settings', async () => {
  await everyShop(async (_shop, terminal) => {
    terminal.type(`SELECT count(*) FROM custo${TAB}`)
    await terminal.sees(/customers $/)
    terminal.type(';\r')
    await terminal.sees(/\b3\b[\s\S]*=> $/)
    terminal.type(`UPDATE orders SET sta${TAB}`)
    await terminal.sees(/status $/)
    terminal.type(`${CTRL_C}`)
    await terminal.sees(/=> $/)
    terminal.type(`SET work_m${TAB}`)
    await terminal.sees(/work_mem $/)
    terminal.type(`${CTRL_C}`)
    await terminal.sees(/=> $/)
    terminal.type(`\\d paid_${TAB}\r`)
    await terminal.sees(/View "public\.paid_orders"[\s\S]*=> $/)
  })
})

test('Ctrl-C ends a running statement and a \\watch, and the session goes on', async () => {
  await everyShop(async (_shop, terminal) => {
    terminal.type('SELECT count(*) FROM orders a, orders b, orders c;\r')
    await new Promise((later) => setTimeout(later, 300))
    terminal.type(CTRL_C)
    await terminal.sees(/canceling statement due to user request[\s\S]*=> $/)
    terminal.type('SELECT ssn FROM customers WHERE id = 1;\r')
    await terminal.sees(/\[hidden\][\s\S]*=> $/)
    terminal.type('SELECT 41 + 1 \\watch 0.1\r')
    await terminal.sees(/42[\s\S]*42[\s\S]*42/)
    terminal.type(CTRL_C)
    await terminal.sees(/=> $/)
    terminal.type('SELECT 43;\r')
    await terminal.sees(/43[\s\S]*43[\s\S]*=> $/)
  })
})

test('the prompt follows the transaction, over several lines and a refusal, and Ctrl-D leaves', async () => {
  await everyShop(async (_shop, terminal) => {
    terminal.type('BEGIN;\r')
    await terminal.sees(/\*=> $/)
    terminal.type('SELECT ssn\r')
    await terminal.sees(/\*-> $/)
    terminal.type('FROM customers;\r')
    await terminal.sees(/\[hidden\][\s\S]*\*=> $/)
    terminal.type('DROP TABLE orders;\r')
    const refused = await terminal.sees(/!=> $/)
    assert.match(refused, /refused by Sluice: rule "agents\/no-ddl"/)
    terminal.type('ROLLBACK;\r')
    await terminal.sees(/ROLLBACK[\s\S]*\n=> $/)
    terminal.type(CTRL_D)
    await terminal.exited()
  })
})
