// Cells of a DataRow that Sluice itself asked for. Not on the data path.
import { i32, u16 } from './frames.ts'

export function cellsOf(input: Buffer, at: number, to: number): (Buffer | null)[] {
  const cells: (Buffer | null)[] = []
  let p = at + 7
  for (let i = u16(input, at + 5); i > 0 && p + 4 <= to; i--) {
    const length = i32(input, p)
    p += 4
    cells.push(length < 0 ? null : Buffer.from(input.subarray(p, p + length)))
    p += Math.max(0, length)
  }
  return cells
}
export const textCells = (cells: readonly (Buffer | null)[]): (string | null)[] => cells.map((cell) => (cell === null ? null : cell.toString('utf8')))
