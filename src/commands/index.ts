/**
 * Every command that runs in the daemon, in the order in which help lists them. One line here is all that a new command
 * needs beside its file: command line, API, OpenAPI, help and completion follow.
 */
import { addsystem } from './addsystem.ts'
import { backup } from './backup.ts'
import type { Command } from './definition.ts'
import { delsystem } from './delsystem.ts'
import { dpysystem } from './dpysystem.ts'
import { history } from './history.ts'
import { nextboot } from './nextboot.ts'
import { profiles } from './profiles.ts'
import { removeaddress } from './removeaddress.ts'
import { renamesystem } from './renamesystem.ts'
import { status } from './status.ts'
import { syncbootnames, syncsystems } from './sync.ts'
import { tokenAdd, tokenList, tokenRevoke } from './token.ts'

export const commands: readonly Command[] = [
  addsystem,
  delsystem,
  renamesystem,
  removeaddress,
  dpysystem,
  nextboot,
  syncbootnames,
  syncsystems,
  profiles,
  status,
  history,
  backup,
  tokenAdd,
  tokenList,
  tokenRevoke,
]
