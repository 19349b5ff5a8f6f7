/**
 * The commands that need no daemon: their form alone. What they do is in the client (`completion`, `help`, `licenses`) or
 * in the daemon's half of the executable (`serve`, `repair`, `restore`, which work on a stopped data directory).
 *
 * The flags of `serve` are the configuration keys (`config/keys.ts`), so its form names none. Source: CONTRACT "Daemon".
 */
import type { Form, Option } from './definition.ts'

/** How a stopped data directory is named. */
const dataDirectory: readonly Option[] = [
  { name: 'data-dir', value: 'DIR', summary: 'data directory; default as for serve' },
  { name: 'config', value: 'FILE', summary: 'configuration file that names the data directory' },
]

export const localForms: readonly Form[] = [
  {
    name: 'serve',
    summary: 'Run the daemon',
    usage: 'pxemngr serve [--<key> <value>...]',
    positionals: [],
    options: [],
    examples: [
      { line: 'pxemngr serve --data-dir /srv/pxemngr', text: 'run it with its state in a folder of your choice' },
      { line: 'pxemngr serve --check', text: 'say what is wrong with the configuration and start nothing' },
    ],
  },
  {
    name: 'repair',
    summary: 'Make a damaged data directory usable again; the daemon is stopped',
    positionals: [],
    options: [{ name: 'dry-run', summary: 'say what would be done and change nothing' }, ...dataDirectory],
    examples: [
      { line: 'pxemngr repair --dry-run', text: 'say which records would be lost' },
      { line: 'pxemngr repair --data-dir /srv/pxemngr', text: 'repair; what is changed is kept aside' },
    ],
  },
  {
    name: 'restore',
    summary: 'Fill an empty data directory from a backup; the daemon is stopped',
    about: [
      'Folders that a backup does not hold (profiles, tests, tftpboot, results) may be there already and stay as they are.',
    ],
    positionals: [{ key: 'file', usage: '<file>', required: true, complete: 'file' }],
    options: dataDirectory,
    examples: [
      { line: 'pxemngr restore pxemngr.backup', text: 'into the data directory serve would use' },
      { line: 'pxemngr restore pxemngr.backup --data-dir /srv/new', text: 'into another one' },
    ],
  },
  {
    name: 'completion',
    summary: 'Print the completion script for a shell',
    usage: 'pxemngr completion <bash|zsh|fish>',
    positionals: [{ key: 'shell', usage: '<bash|zsh|fish>', required: true }],
    options: [],
    examples: [
      { line: 'source <(pxemngr completion bash)', text: 'for this shell; put it into ~/.bashrc to keep it' },
      { line: 'pxemngr completion fish > ~/.config/fish/completions/pxemngr.fish', text: 'for fish, to stay' },
    ],
  },
  {
    name: 'licenses',
    summary: 'Print the licences of everything inside this file',
    positionals: [],
    options: [],
    examples: [
      { line: 'pxemngr licenses', text: 'all of them' },
      { line: 'pxemngr licenses | grep -A 3 syslinux', text: 'where the source of a boot loader is' },
    ],
  },
  {
    name: 'help',
    summary: 'Explain a command',
    positionals: [{ key: 'command', usage: '<command>', required: false, variadic: true }],
    options: [],
    examples: [
      { line: 'pxemngr help', text: 'all commands' },
      { line: 'pxemngr help nextboot', text: 'one command with its options and examples' },
    ],
  },
]
