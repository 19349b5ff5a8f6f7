/** What is typed, as it is understood. Source: CONTRACT "Command line", COMPATIBILITY 3.1 and 3.2. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type Parsed, parseArguments, UsageError } from '../../src/cli/arguments.ts'
import { forms } from '../../src/cli/program.ts'
import type { Form } from '../../src/commands/definition.ts'
import { commands } from '../../src/commands/index.ts'
import { run } from './io.ts'

const odd: Form = {
  name: 'odd',
  summary: 'odd',
  positionals: [
    { key: 'first', usage: '<first>', required: true },
    { key: 'second', usage: '<second>', required: false },
  ],
  options: [
    { name: 'dry-run', short: 'n', summary: 'a switch' },
    { name: 'long-value', value: 'X', summary: 'a value' },
    { name: 'many', short: 'm', value: 'X', summary: 'several', repeatable: true },
  ],
  examples: [],
}

function parse(...argv: string[]): Parsed & { kind: 'command' } {
  const parsed = parseArguments(argv, [...forms, odd])
  assert.equal(parsed.kind, 'command')
  return parsed as Parsed & { kind: 'command' }
}

function fault(...argv: string[]): UsageError {
  try {
    parseArguments(argv, [...forms, odd])
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error))
    assert.equal(error.exit, 2)
    return error
  }
  assert.fail(`${argv.join(' ')} was accepted`)
}

describe('option values stay the text that was typed', () => {
  it('numbers, empty text, values that begin with a dash, equals signs', () => {
    for (const value of [
      '007',
      '10.10',
      '1e5',
      '0x10',
      '',
      '-v',
      '--',
      '=',
      'a=b',
      'true',
      'false',
      ' ',
      '-',
      'ü',
      'NaN',
      '\n',
    ]) {
      assert.deepEqual(parse('odd', 'x', `--long-value=${value}`).typed, { first: 'x', 'long-value': value })
    }
    for (const value of ['007', '10.10', '1e5', '-', '', 'no']) {
      assert.deepEqual(parse('odd', '--long-value', value, 'x').typed, { first: 'x', 'long-value': value })
    }
    assert.deepEqual(parse('--token', '007', 'odd', 'x').global, { token: '007' })
  })

  it('a switch swallows nothing', () => {
    assert.deepEqual(parse('odd', '--dry-run', '007').typed, { first: '007', 'dry-run': true })
    assert.deepEqual(parse('odd', '-n', 'false', '--json', '1').typed, { first: 'false', second: '1', 'dry-run': true })
  })

  it('repeated ones are a list where that is meant, else the last counts', () => {
    assert.deepEqual(parse('odd', 'x', '-m', '1', '--many=2', '-m=3').typed, { first: 'x', many: ['1', '2', '3'] })
    assert.deepEqual(parse('odd', 'x', '--many', '1').typed, { first: 'x', many: ['1'] })
    assert.deepEqual(parse('odd', 'x', '--long-value=1', '--long-value=2').typed, { first: 'x', 'long-value': '2' })
  })

  it('the value of a short option may be glued to it', () => {
    for (const value of ['1', '12', '-1', 'a=b', 'm', ' ', '\n', '007']) {
      assert.deepEqual(parse('odd', 'x', `-m${value}`).typed, { first: 'x', many: [value] }, value)
    }
    assert.deepEqual(parse('odd', '-m', '1', '-m=2', '-m3', 'x').typed, { first: 'x', many: ['1', '2', '3'] })
    assert.deepEqual(parse('odd', 'x', '-m=').typed, { first: 'x', many: [''] })
    assert.deepEqual(parse('odd', '--', '-m1').typed, { first: '-m1' })
    assert.match(fault('odd', 'x', '-n1').why ?? '', /^unknown option "-n1"/, 'a switch takes none')
  })

  it('any text at all, as value and as argument', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (argument, value) => {
        const { typed } = parse('odd', `--long-value=${value}`, '--', argument)
        assert.deepEqual(typed, { first: argument, 'long-value': value })
      }),
    )
  })

  it('an argument of 1 MB', () => {
    const long = 'x'.repeat(1_000_000)
    assert.equal(parse('odd', long, `--long-value=${long}`).typed['first'], long)
  })

  it('10,000 arguments', () => {
    const addresses = Array.from({ length: 10_000 }, (_, at) => `${at}`)
    assert.deepEqual(parse('addsystem', 'a', ...addresses).typed['addresses'], addresses)
  })
})

describe('options may stand before or after the command, and `--` ends them', () => {
  it('global options on both sides', () => {
    assert.deepEqual(parse('--socket', 'odd', '--json', 'odd', 'x').global, { socket: 'odd', json: true })
    assert.deepEqual(parse('odd', 'x', '--socket=/s', '--json').global, { socket: '/s', json: true })
  })
  it('what follows `--` is an argument', () => {
    assert.deepEqual(parse('odd', '--', '--json', '-x').typed, { first: '--json', second: '-x' })
    assert.deepEqual(parse('odd', 'a', '--').typed, { first: 'a' })
  })
  it('commands of two words', () => {
    assert.equal(parse('token', '--json', 'add', 'ci').form.name, 'token add')
    assert.deepEqual(parse('token', 'add', 'token', '--role', 'viewer').typed, { name: 'token', role: 'viewer' })
  })
  it('serve keeps its flags for the configuration', () => {
    assert.deepEqual(parseArguments(['--socket', '/s', 'serve', '--http', 'off'], forms), {
      kind: 'serve',
      argv: ['--socket', '/s', '--http', 'off'],
    })
  })
  it('an option in place of the arguments leaves none', () => {
    assert.deepEqual(parse('dpysystem', '-l').typed, { list: true })
    assert.deepEqual(parse('addsystem', '--from', '-').typed, { from: '-' })
    fault('dpysystem', '-l', 'x')
    fault('addsystem', '--from', 'f', 'name')
  })
})

describe('wrong usage is exit status 2 and names the form that was meant', () => {
  it('unknown options, with the nearest one', () => {
    assert.match(fault('odd', 'x', '--dry-rum').message, /^unknown option "--dry-rum"; did you mean --dry-run\?$/)
    for (const option of [
      '--__proto__',
      '--constructor=1',
      '--no-json',
      '--a.b=1',
      '-x',
      '-ln',
      '---json',
      '--JSON',
      '--dryRun',
    ]) {
      assert.match(fault('odd', 'x', option).message, /^unknown option /, option)
    }
    assert.match(fault('--nope', 'odd', 'x').message, /^unknown option "--nope"/)
  })
  it('values that are missing or not wanted', () => {
    assert.match(fault('odd', 'x', '--long-value').message, /^--long-value needs a value \(X\)$/)
    assert.match(fault('odd', 'x', '--long-value', '-v').message, /given as --long-value=X/)
    assert.match(fault('odd', 'x', '--long-value', '--').message, /needs a value/)
    assert.match(fault('odd', 'x', '--dry-run=yes').message, /--dry-run takes no value/)
    assert.match(fault('--socket').message, /^--socket needs a value \(PATH\)$/)
    assert.match(fault('--socket', 'odd').message, /^--socket needs a value \(PATH\) and took "odd" for it: no command/)
  })
  it('arguments too few and too many', () => {
    for (const argv of [['odd'], ['odd', 'a', 'b', 'c'], ['addsystem', 'a'], ['nextboot', 'a'], ['odd', '--']]) {
      assert.equal(fault(...argv).why, undefined)
    }
  })
  it('unknown commands, also with names of object members', () => {
    assert.match(fault('nextbot').message, /^Invalid pxemngr sub-command nextbot; did you mean nextboot\?$/)
    for (const name of ['__proto__', 'constructor', '', 'a b', 'token add', '@@global@@', '!']) {
      if (name !== 'token add') assert.match(fault(name).message, /^Invalid pxemngr sub-command /, name)
    }
    assert.equal(fault('token').usageLine, 'pxemngr token <add|list|revoke>')
    assert.equal(fault('token', 'nix').usageLine, 'pxemngr token <add|list|revoke>')
    assert.equal(fault().usageLine, 'pxemngr <sub-command> [<args>...]')
    assert.equal(fault('--json').usageLine, 'pxemngr <sub-command> [<args>...]')
  })
})

describe('each definition', () => {
  it('has a name of its own, a summary and two examples that are good usage of it', () => {
    assert.equal(new Set(forms.map(({ name }) => name)).size, forms.length)
    for (const form of forms) {
      assert.ok(form.summary.length > 5 && !form.summary.endsWith('.'), form.name)
      assert.ok(form.examples.length >= 2, form.name)
      for (const { line } of form.examples) {
        const typed = /(?:^|\()(pxemngr [^|>)]+)/.exec(line)?.[1]?.trim().split(/ +/) ?? []
        const parsed = parseArguments(typed.slice(1), forms)
        assert.equal(parsed.kind === 'command' ? parsed.form.name : parsed.kind, form.name, line)
      }
    }
  })
  it('keeps the usage lines of 0.8, on stderr, alone', async () => {
    const lines = [
      'pxemngr addsystem <system name> <MAC> [<MAC2>...]',
      'pxemngr delsystem <system name>',
      'pxemngr dpysystem <system name|MAC|IPV4>|-l',
      'pxemngr nextboot <system name> <boot name>',
    ]
    for (const line of lines) {
      const name = line.split(' ')[1] ?? ''
      assert.deepEqual(await run([name]), { status: 2, stdout: '', stderr: `Usage: ${line}\n`, local: [] })
    }
  })
  it('takes no option that every command has, but for the --version V of runs', () => {
    for (const { name, options } of forms) {
      for (const option of options) {
        assert.ok(
          !['socket', 'url', 'token', 'json', 'help'].includes(option.name) &&
            (option.name !== 'version' || option.value !== undefined),
          `${name} --${option.name}`,
        )
        assert.ok(!['h', 'v'].includes(option.short ?? ''), `${name} -${option.short}`)
      }
    }
    assert.ok(commands.length > 10)
  })
})
