/**
 * Every command that runs in the daemon, in the order in which help lists them. One line here is all that a new command
 * needs beside its file: command line, API, OpenAPI, help and completion follow.
 */
import { addsystem } from './addsystem.ts'
import { backup } from './backup.ts'
import { cancel } from './cancel.ts'
import { compare } from './compare.ts'
import type { Command } from './definition.ts'
import { delsystem } from './delsystem.ts'
import { dpysystem } from './dpysystem.ts'
import { dpytest, synctestnames } from './dpytest.ts'
import { expire } from './expire.ts'
import { explain } from './explain.ts'
import { history } from './history.ts'
import { keep } from './keep.ts'
import { log } from './log.ts'
import { nextboot } from './nextboot.ts'
import { nexttest } from './nexttest.ts'
import { profiles } from './profiles.ts'
import { release } from './release.ts'
import { removeaddress } from './removeaddress.ts'
import { renamesystem } from './renamesystem.ts'
import { rerun } from './rerun.ts'
import { results } from './results.ts'
import { show } from './show.ts'
import { status } from './status.ts'
import { syncbootnames, syncsystems } from './sync.ts'
import { tokenAdd, tokenList, tokenRevoke } from './token.ts'
import { versions } from './versions.ts'
import { waive } from './waive.ts'
import { webhookAdd, webhookList, webhookRemove, webhookTest } from './webhook.ts'

export const commands: readonly Command[] = [
  addsystem,
  delsystem,
  renamesystem,
  removeaddress,
  dpysystem,
  explain,
  nextboot,
  syncbootnames,
  syncsystems,
  profiles,
  nexttest,
  dpytest,
  synctestnames,
  results,
  show,
  log,
  cancel,
  rerun,
  waive,
  compare,
  versions,
  keep,
  expire,
  release,
  webhookAdd,
  webhookList,
  webhookRemove,
  webhookTest,
  status,
  history,
  backup,
  tokenAdd,
  tokenList,
  tokenRevoke,
]
