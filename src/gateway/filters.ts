// Row filters are read by the server's own grammar, which takes a moment to load: for whoever checks a configuration.
import type { FilterMistake } from '../core/check.ts'
import { filterMistake } from '../sql/filter.ts'
import { ready } from '../sql/grammar.ts'

export async function readsFilters(): Promise<FilterMistake> {
  await ready()
  return filterMistake
}
