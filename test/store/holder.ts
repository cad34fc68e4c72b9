// A gateway of its own process that holds reviews until it is killed.
import { openStore } from '../../src/store/store.ts'
import { asking, person } from './fixture.ts'

const store = await openStore(JSON.parse(process.argv[2]!))
const { number } = await store.begin()
const holder = person('holder')
const ids = [(await store.reviews.create(asking(holder, { wait: 'refuse' }), null)).id]
for (let i = 0; i < 19; i++) ids.push((await store.reviews.create(asking(holder), number)).id)
process.stdout.write(`${JSON.stringify(ids)}\n`)
setInterval(() => {}, 1_000)
