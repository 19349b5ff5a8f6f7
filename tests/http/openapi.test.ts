/**
 * The OpenAPI document: complete, the same as the golden file, and nothing in it that the API does not do.
 * `UPDATE_GOLDEN=1` rewrites the golden file; its diff is what users of the API have to be told.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { commands } from '../../src/commands/index.ts'
import { commandPath } from '../../src/commands/wire.ts'
import { accessRules } from '../../src/http/access.ts'
import { describeApi } from '../../src/http/openapi.ts'
import { openManagement } from '../harness/management.ts'

const golden = join(import.meta.dirname, '..', 'golden', 'openapi.json')
type Paths = Record<string, Record<string, { operationId: string; security?: unknown }>>

test('the document is the golden one', () => {
  const text = `${JSON.stringify(describeApi('0.0.0'), null, 2)}\n`
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(golden, text)
  assert.equal(text, readFileSync(golden, 'utf8'))
})

test('every command and everything that can be read is in it, once, and nothing else', () => {
  const { paths } = describeApi('0.0.0') as { paths: Paths }
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const allowed = accessRules
    .filter(({ path }) => path.startsWith('/api/'))
    .map(({ method, path }) => `${method} ${path}`)
  assert.deepEqual(described.sort(), allowed.sort())
  const ids = Object.values(paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId))
  assert.equal(new Set(ids).size, ids.length)
})

test('what needs a token says so', () => {
  const { paths } = describeApi('0.0.0') as { paths: Paths }
  for (const command of commands) {
    const { security } = paths[commandPath(command)]?.['post'] ?? {}
    assert.deepEqual(security, command.role === 'viewer' ? undefined : [{ token: [] }], command.name)
  }
})

test('every reference leads somewhere', () => {
  const document = describeApi('0.0.0')
  for (const [, reference] of JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)) {
    let at: unknown = document
    for (const part of (reference ?? '').split('/').slice(1)) at = (at as Record<string, unknown>)[part]
    assert.ok(at, reference)
  }
})

test('it is served with the version of the daemon', async () => {
  const m = await openManagement()
  const { status, headers, body } = await m.overTcp('/api/v1/openapi.json')
  assert.equal(status, 200)
  assert.equal(headers.get('content-type'), 'application/json')
  assert.deepEqual(body, JSON.parse(JSON.stringify(describeApi('9.9.9'))))
  await m.shut()
})
