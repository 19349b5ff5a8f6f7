/**
 * `backup`: the whole journal as one file, streamed while the daemon goes on working; the client writes it. What is in it
 * is the store's; `restore` reads it. Files that people or machines wrote are not in it, which help says.
 * Source: CONTRACT "Command line" (`backup`), role admin.
 */
import { defineCommand } from './definition.ts'
import { nothing } from './schema.ts'

export const backup = defineCommand({
  name: 'backup',
  summary: 'Write the whole journal to a file: systems, decisions, runs, verdicts, tokens, history',
  about: [
    'Not in it: profiles-dir, tests-dir, tftp-root and results-dir (logs and attachments). Copy these folders, results-dir',
    'after the backup, so that it holds every log that the backup names.',
    'To get all back: put the folders where they were, `pxemngr restore FILE`, start the daemon.',
  ],
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
    { line: 'pxemngr backup - | ssh vault "cat > monday"', text: 'to standard output' },
  ],
  run: () => ({}),
  stream: {
    contentType: 'application/octet-stream',
    async send({ daemon }, _args, write) {
      await daemon.store.backup(write)
    },
  },
})
