/**
 * What the client's bundle keeps of the commands: all of how they are typed and printed, nothing of what the daemon does.
 * Source: scripts/client-half.mjs.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { build } from 'esbuild'
import { clientHalf, clientHalfPlugin } from '../scripts/client-half.mjs'
import type { Command } from '../src/commands/definition.ts'
import { commands } from '../src/commands/index.ts'

const daemonOnly = ['args', 'result', 'role', 'changes', 'run']

test('every command keeps its client half whole, and loses the daemon half', async () => {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, '../src/commands/index.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
    plugins: [clientHalfPlugin],
    logLevel: 'silent',
  })
  const text = outputFiles[0]?.text ?? ''
  const bundled = (await import(`data:text/javascript,${encodeURIComponent(text)}`)) as {
    commands: readonly Partial<Command>[]
  }
  assert.equal(bundled.commands.length, commands.length)
  for (const [index, command] of commands.entries()) {
    const half = bundled.commands[index] ?? {}
    assert.deepEqual(
      Object.keys(half),
      Object.keys(command).filter((key) => !daemonOnly.includes(key)),
      command.name,
    )
    for (const [key, value] of Object.entries(half)) {
      const whole = command[key as keyof Command]
      if (key === 'stream') assert.deepEqual(Object.keys(value), command.stream?.when ? ['when'] : [], command.name)
      else if (typeof value === 'function') assert.equal(typeof whole, 'function', `${command.name}: ${key}`)
      else assert.deepEqual(value, whole, `${command.name}: ${key}`)
    }
  }
  // Completion offers them, and the schema that has them too is the daemon's.
  const words = bundled.commands.find(({ name }) => name === 'results')?.options?.flatMap((each) => each.words ?? [])
  assert.ok(words?.includes('missing') && words.includes('expired'), String(words))
  for (const word of ['tx.emit', 'boot.decided', 'store.commit']) assert.ok(!text.includes(word), word)
})

const definition = (...lines: string[]): string =>
  ['const a = v.string();', 'const x = defineCommand({', ...lines, '});', 'use("v.string(", x);', ''].join('\n')

test('a definition is cut between its properties, texts with line breaks included', () => {
  const code = definition(
    '  name: "x",',
    '  args: v.strictObject({',
    '    name: a',
    '  }),',
    '  async run({ daemon }) {',
    '    return `one',
    '  },',
    'name: two`;',
    '  },',
    '  stream: {',
    '    contentType: "a",',
    '    when: ({ f }) => f === `',
    '`,',
    '    async send() {',
    '      run();',
    '    }',
    '  },',
    '  print(result, out) {',
    '    run(`',
    'print`);',
    '  }',
  )
  const half = [
    'const a = /* @__PURE__ */ v.string();',
    'const x = defineCommand({',
    '  name: "x",',
    '  stream: {',
    '    when: ({ f }) => f === `',
    '`,',
    '  },',
    '  print(result, out) {',
    '    run(`',
    'print`);',
    '  }',
    '});',
    'use("v.string(", x);',
    '',
  ].join('\n')
  assert.equal(clientHalf(code), half)
})

test('what checks a value stays, though nobody reads what it gives', () => {
  assert.equal(
    clientHalf('v.assert(a, 1);\nv.is(a, 1);\nv.isoDate();\n'),
    'v.assert(a, 1);\nv.is(a, 1);\n/* @__PURE__ */ v.isoDate();\n',
  )
})

test('what cannot be read fails the build', () => {
  const cut = (...lines: string[]) => clientHalf(definition(...lines))
  assert.throws(() => cut('  name: "x"'), /without a `run`/)
  assert.throws(() => cut('  run,', '  secret: 1'), /secret in a definition/)
  // A text whose further line looks like a property.
  assert.throws(() => cut('  run() {', '    say(`', '  run: 1`);', '  }'), /run twice/)
  assert.throws(() => cut('  ...other,', '  run'), /\.\.\.other/)
  assert.throws(() => cut('  run,', '  ["print"]: 1'), /print.* in a definition/)
  assert.throws(() => cut('  run,', '  stream: {', '    other: 1', '  }'), /other in a stream/)
  assert.throws(() => clientHalf('const x = defineCommand({\n  run: 1\n'), /without an end/)
})
