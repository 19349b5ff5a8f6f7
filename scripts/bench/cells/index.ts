/**
 * The table of cells, in the order in which they are run and printed.
 */
import type { Cell } from '../cell.ts'
import { bulk, commandStart, secondStart } from './commands.ts'
import { httpFileCells, profileUrl } from './http.ts'
import { manyResults, matrixGrid } from './many-results.ts'
import { resultCycle } from './result-cycle.ts'
import { bootsBesideUpload, heldMachines, waitingMachines } from './runs.ts'
import { manySystems, startCells } from './sizes.ts'
import { configurationReads, fileCells, mixed } from './tftp.ts'

export const cells: readonly Cell[] = [
  configurationReads,
  ...fileCells,
  ...httpFileCells,
  profileUrl,
  mixed,
  manySystems,
  ...startCells,
  bootsBesideUpload,
  waitingMachines,
  heldMachines,
  commandStart,
  bulk,
  secondStart,
  resultCycle,
  manyResults,
  matrixGrid,
]
