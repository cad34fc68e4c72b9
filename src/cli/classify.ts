// `sluice classify`: proposes tags for the columns of a resource, as YAML for a person to read, change and put into sluice.yaml.
import type { ClassifiedView } from '../api/schema.ts'
import { openClient } from './api.ts'
import { type Command, type Given, misused } from './command.ts'
import { inert, line, note, show } from './output.ts'

export const command: Command = {
  usage: 'classify RESOURCE [--new] [--json]',
  options: { new: { type: 'boolean' } },
  async run(given: Given) {
    const [name, ...more] = given.words
    if (name === undefined || more.length > 0) throw misused(command)
    const client = await openClient(given)
    const found = await client.send<ClassifiedView>('POST', `/api/resources/${encodeURIComponent(name)}/classify`)
    const columns = given.flag('new') ? found.columns.filter(({ tags }) => tags.length === 0) : found.columns
    show(given, { ...found, columns }, () => print(name, { ...found, columns }))
  },
}

function print(name: string, { columns, unread, tables }: ClassifiedView): void {
  line(`# Proposed for resource ${name} from names, comments, types and samples of ${tables - unread.length} of ${tables} tables. Read it before you accept it.`)
  const fresh = columns.filter(({ tags }) => tags.length === 0)
  line(fresh.length === 0 ? '# No column is left that looks like one to tag.' : 'tags:')
  for (const tag of ['pii', 'secret'] as const) {
    const proposed = fresh.filter((column) => column.tag === tag && !column.within)
    const within = fresh.filter((column) => column.tag === tag && column.within)
    if (proposed.length + within.length > 0) line(`  ${tag}:`)
    for (const column of proposed) line(`    - ${quoted(column.field)}  # ${said(column)}`)
    if (proposed.length === 0 && within.length > 0) line('    []')
    for (const column of within) line(`    # - ${quoted(column.field)}  # ${said(column)}; \`detect: [${column.kind}]\` hides them and leaves the text`)
  }
  const tagged = columns.filter(({ tags }) => tags.length > 0)
  if (tagged.length > 0) line('# Tagged already:')
  for (const column of tagged) line(`#   ${inert(column.field)} (${column.tags.join(', ')}): ${said(column)}`)
  for (const { table, why } of unread) note(`${inert(table)}: values were not looked at: ${why}`)
}
const quoted = (field: string): string => JSON.stringify(inert(field))
const said = (column: ClassifiedView['columns'][number]): string => inert(`${column.kind}, ${column.confidence.toFixed(2)}: ${column.why}${column.like === null || column.kind === 'unknown' ? '' : `; like ${column.like}, which is tagged`}`)
