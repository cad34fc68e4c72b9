// A worker to be killed: tells its parent, after each acknowledgement, what was acknowledged. Run as a child by record_durable.test.ts.
import { openRecorder } from '../../src/store/record/index.ts'

const [folder, writer] = process.argv.slice(2)
const recorder = openRecorder({ folder: folder!, writer: writer!, onHead: (head) => { process.send!({ head }) }, freeBytesMin: 0, segmentBytesMax: 300_000 })
const answer = Buffer.alloc(3_000, 'x')
for (let number = 0; number < 6; number++) void work(number)

async function work(number: number): Promise<void> {
  const id = `${writer}-${number}`
  const record = recorder.session(id, number % 2 === 0 ? 'orders' : 'people')
  for (let run = 1; ; run++) {
    record.append('asked', JSON.stringify({ run }))
    const durable = record.durable(number === 0 ? 'disk' : 'kernel')
    if (durable !== true) await durable
    // In the pipe's hands before anything else happens, as bytes to a server would be.
    process.send!({ id, run })
    record.answer(run, answer, 0, answer.length)
    await new Promise((resolve) => setImmediate(resolve))
  }
}
