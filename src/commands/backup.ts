/**
 * `backup`: everything the daemon knows as one file, streamed while it goes on working; the client writes it.
 * What is in it is the store's; `restore` reads it. Source: CONTRACT "Command line" (`backup`), role admin.
 */
import { defineCommand } from './definition.ts'
import { nothing } from './schema.ts'

export const backup = defineCommand({
  name: 'backup',
  summary: 'Write everything the daemon knows to a file',
  usage: 'pxemngr backup <file>',
  positionals: [{ key: 'file', usage: '<file>', required: true, complete: 'file' }],
  options: [],
  args: nothing,
  result: nothing,
  role: 'admin',
  changes: false,
  savesFile: true,
  examples: [
    { line: 'pxemngr backup pxemngr.backup', text: 'into a new file; the daemon goes on' },
    { line: 'pxemngr backup /srv/backup/monday', text: 'what `pxemngr restore` reads' },
  ],
  run: () => ({}),
  stream: {
    contentType: 'application/octet-stream',
    async send({ daemon }, _args, write) {
      await daemon.store.backup(write)
    },
  },
})
