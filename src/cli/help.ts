/**
 * Help, generated from the definitions: the list of commands, and one command with its options and examples.
 */
import { styleText } from 'node:util'
import type { Form, Option } from '../commands/definition.ts'
import { globalOptions, mainUsage, usageOf } from './arguments.ts'
import { formatTable } from './print.ts'

/** Lines of `pxemngr help`. */
export function formatMainHelp(forms: readonly Form[], color: boolean): string[] {
  return [
    `Usage: ${mainUsage}`,
    '',
    heading('Commands', color),
    ...indent(formatTable(forms.map(({ name, summary }) => [name, summary]))),
    '',
    heading('Options of every command', color),
    ...indent(formatTable(globalOptions.map(optionRow))),
    '',
    heading('Examples', color),
    ...exampleLines([
      { line: 'pxemngr addsystem web01 52:54:00:12:34:56', text: 'name a machine' },
      { line: 'pxemngr nextboot web01 local', text: 'say what it boots next' },
    ]),
    '',
    'One command: pxemngr help <command>',
  ]
}

/** Lines of `pxemngr help <command>`; `flags` are the lines of `serve`'s flags, the configuration keys. */
export function formatCommandHelp(form: Form, color: boolean, flags: readonly string[] = []): string[] {
  const own =
    form.options.length === 0
      ? []
      : ['', heading('Options', color), ...indent(formatTable(form.options.map(optionRow)))]
  return [
    `Usage: ${usageOf(form)}`,
    '',
    `${form.summary}.`,
    ...(form.about === undefined ? [] : ['', ...form.about]),
    ...own,
    ...(flags.length === 0 ? [] : ['', heading('Flags', color), ...flags]),
    '',
    heading('Examples', color),
    ...exampleLines(form.examples),
    '',
    'Options of every command: pxemngr help',
  ]
}

/** The list under a call without or with an unknown command: 0.8's, and what each does where people look at it. */
export function formatCommandList(forms: readonly Form[], terminal: boolean): string[] {
  const rows = terminal ? forms.map(({ name, summary }) => [name, summary]) : forms.map(({ name }) => [name])
  return ['Available sub-commands:', ...formatTable(rows).map((row) => `    ${row}`)]
}

function optionRow({ name, short, value, summary }: Option): string[] {
  return [`${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`, summary]
}

function exampleLines(examples: Form['examples']): string[] {
  return examples.flatMap(({ line, text }) => [`  ${line}`, `      ${text}`])
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`)
}

function heading(text: string, color: boolean): string {
  return color ? styleText('bold', `${text}:`, { validateStream: false }) : `${text}:`
}
