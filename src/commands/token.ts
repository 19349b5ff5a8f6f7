/**
 * `token add`, `token list`, `token revoke`: credentials of programs and people elsewhere than on the socket.
 *
 * A token is 256 random bits; the journal holds its SHA-256 only, so it is shown once and can never be shown again. A hash
 * without salt or stretching is enough for what nobody can guess. Revoking and expiry hold from the next request on
 * (`http/auth.ts`). Source: CONTRACT "HTTP API".
 */
import * as v from 'valibot'
import { durationAllowed, parseDuration } from '../domain/duration.ts'
import { Refusal } from '../domain/errors.ts'
import { checkName } from '../domain/name.ts'
import type { Queries, TokenRow } from '../store/store.ts'
import { defineCommand } from './definition.ts'
import { id, nothing, role, roleWords, time } from './schema.ts'

/** 256 bits: beyond guessing, whatever the rate. */
const secretBytes = 32
/** Tells scanners of repositories and logs what the string is. */
const tokenPrefix = 'pxemngr_'

const name = { key: 'name', usage: '<token name>', required: true } as const

export const tokenAdd = defineCommand({
  name: 'token add',
  summary: 'Make a token and print it, once',
  usage: 'pxemngr token add <token name> [--role viewer|operator|admin] [--expires 30d]',
  positionals: [name],
  options: [
    {
      name: 'role',
      value: 'ROLE',
      words: roleWords,
      summary: 'viewer (reads), operator (changes; default) or admin (tokens, backup too)',
    },
    { name: 'expires', value: 'TIME', summary: 'how long it is good for, such as 30d (default: until revoked)' },
  ],
  args: v.strictObject({ name: v.string(), role: v.exactOptional(role), expires: v.exactOptional(v.string()) }),
  result: v.strictObject({ token: v.string(), name: v.string(), role, expires: v.nullable(time) }),
  role: 'admin',
  changes: true,
  examples: [
    { line: 'pxemngr token add ci --expires 30d', text: 'for a pipeline that sets next boots' },
    { line: 'pxemngr token add wallboard --role viewer', text: 'for a screen that only reads' },
  ],
  async run({ actor, daemon }, args) {
    checkName(args.name, 'token name')
    const lifeMs = args.expires === undefined ? undefined : parseExpiry(args.expires)
    const token = `${tokenPrefix}${encode(crypto.getRandomValues(new Uint8Array(secretBytes)))}`
    const hash = await hashToken(token)
    const granted = args.role ?? 'operator'
    const expires = await daemon.store.commit(actor, (tx) => {
      if (findActive(tx, args.name, tx.at)) {
        throw new Refusal('refused', `Token ${args.name} is already defined: pxemngr token revoke ${args.name}`)
      }
      const until = lifeMs === undefined ? null : new Date(Date.parse(tx.at) + lifeMs).toISOString()
      tx.emit({ type: 'token.added', token: tx.nextId('token'), name: args.name, role: granted, hash, expires: until })
      return until
    })
    return { token, name: args.name, role: granted, expires }
  },
  print: ({ token }, out) => out.line(token),
})

export const tokenList = defineCommand({
  name: 'token list',
  summary: 'List the tokens, without what they are',
  usage: 'pxemngr token list',
  positionals: [],
  options: [],
  args: nothing,
  result: v.strictObject({
    tokens: v.array(
      v.strictObject({
        id,
        name: v.string(),
        role,
        created: time,
        expires: v.nullable(time),
        state: v.picklist(['valid', 'expired', 'revoked']),
      }),
    ),
  }),
  role: 'admin',
  changes: false,
  examples: [
    { line: 'pxemngr token list', text: 'name, role, expiry and state' },
    { line: 'pxemngr token list --json', text: 'with when each was made' },
  ],
  run({ daemon }) {
    const now = new Date().toISOString()
    return {
      tokens: daemon.store.queries.listTokens().map((token) => ({
        id: token.id,
        name: token.name,
        role: token.role,
        created: token.created,
        expires: token.expires,
        state: token.revoked
          ? ('revoked' as const)
          : hasExpired(token, now)
            ? ('expired' as const)
            : ('valid' as const),
      })),
    }
  },
  print(result, out) {
    out.rows(
      ['TOKEN', 'ROLE', 'EXPIRES', 'STATE'],
      result.tokens.map(({ name, role, expires, state }) => [name, role, expires ?? 'never', state]),
    )
    if (result.tokens.length === 0 && out.terminal) out.note('no token: pxemngr token add NAME makes one')
  },
})

export const tokenRevoke = defineCommand({
  name: 'token revoke',
  summary: 'Make a token worthless at once',
  usage: 'pxemngr token revoke <token name>',
  positionals: [{ ...name, complete: ['token'] }],
  options: [],
  args: v.strictObject({ name: v.string() }),
  result: nothing,
  role: 'admin',
  changes: true,
  examples: [
    { line: 'pxemngr token revoke ci', text: 'its next request is refused, its logins end' },
    { line: 'pxemngr token revoke wallboard', text: 'the name can be given again' },
  ],
  async run({ actor, daemon }, args) {
    await daemon.store.commit(actor, (tx) => {
      const valid = tx.listTokens().filter((token) => token.name === args.name && !token.revoked)
      if (valid.length === 0) throw new Refusal('not-found', `Token ${args.name} not defined`)
      for (const token of valid) tx.emit({ type: 'token.revoked', token: token.id })
    })
    return {}
  },
})

/** Hex SHA-256 of a token, which is all that is kept of it. */
export async function hashToken(token: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token)))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Whether the token is no longer good at `now` (RFC 3339 UTC); compared as times, never as text. */
export function hasExpired(token: Pick<TokenRow, 'expires'>, now: string): boolean {
  return token.expires !== null && Date.parse(token.expires) <= Date.parse(now)
}

function findActive(queries: Queries, wanted: string, now: string): TokenRow | undefined {
  return queries.listTokens().find((token) => token.name === wanted && !token.revoked && !hasExpired(token, now))
}

function parseExpiry(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined || ms === 0) {
    throw new Refusal('usage', `--expires ${JSON.stringify(text)} is not allowed: ${durationAllowed}, more than 0`)
  }
  return ms
}

function encode(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}
