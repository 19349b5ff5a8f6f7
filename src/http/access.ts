/**
 * Who may ask for which URL: one table, one check, and everything that no row allows is refused.
 *
 * A handler that is mounted without a row here can never be reached. `open` needs no credentials (the machine plane
 * decides for itself, by address); a role is the least that is needed. HEAD counts as GET. Source: CONTRACT "HTTP API",
 * "What machines ask over HTTP", "What people see over HTTP".
 */
import { commands } from '../commands/index.ts'
import { apiPrefix, commandPath } from '../commands/wire.ts'
import type { Role } from '../domain/event.ts'

export interface AccessRule {
  /** `*`: the handler itself answers for every method. */
  readonly method: 'GET' | 'POST' | '*'
  /** `:name` stands for one segment, `*` at the end for the rest, which may be empty. No slash at the end. */
  readonly path: string
  readonly access: 'open' | Role
  readonly plane: 'machine' | 'management'
}

const machinePaths = [
  '/localboot',
  '/localboot/:mac',
  '/nextboot/:profile',
  '/profile',
  '/profile/:mac',
  '/ipxe',
  '/ipxe/:mac',
  '/boot/*',
  '/nexttest',
  '/nexttest/:mac',
  '/script/:test',
  '/upload/:id',
  '/progress/:id',
  '/extend/:id',
]

const pagePaths = [
  '/',
  '/system/:id',
  '/boots',
  '/boots/:id',
  '/setup',
  '/profiles',
  '/profiles/:name',
  '/tests/:id',
  '/test/:id',
  '/test/:id/file/:place',
  '/test/:id/tail',
  '/testcontent/:id',
  '/testname/:id',
  '/queue',
  '/search',
  '/versions',
  '/matrix',
  '/compare',
  '/compare/:pair',
  '/badge/:kind/:file',
  '/metrics',
]

/** Forms of the pages; each is one command (`pages/changes.ts`). */
const formPaths = [
  '/system/:id/nextboot',
  '/system/:id/rename',
  '/system/:id/delete',
  '/system/:id/nexttest',
  '/system/:id/cancel',
  '/system/:id/release',
  '/test/:id/cancel',
  '/test/:id/rerun',
  '/test/:id/waive',
  '/tests/:id/keep',
]

const readingPaths = [
  'systems',
  'profiles',
  'tests',
  'runs',
  'versions',
  'boots',
  'status',
  'history',
  'events',
  'openapi.json',
]

const management = (method: 'GET' | 'POST', path: string, access: 'open' | Role): AccessRule => ({
  method,
  path,
  access,
  plane: 'management',
})

export const accessRules: readonly AccessRule[] = [
  ...machinePaths.map((path): AccessRule => ({ method: '*', path, access: 'open', plane: 'machine' })),
  management('GET', '/healthz', 'open'),
  management('GET', '/login', 'open'),
  management('POST', '/login', 'open'),
  management('POST', '/logout', 'open'),
  management('GET', '/assets/*', 'open'),
  ...pagePaths.map((path) => management('GET', path, 'viewer')),
  ...formPaths.map((path) => management('POST', path, 'operator')),
  ...readingPaths.map((path) => management('GET', `${apiPrefix}/${path}`, 'viewer')),
  ...commands.map((command) => management('POST', commandPath(command), command.role)),
]

const roles: readonly Role[] = ['viewer', 'operator', 'admin']

/** Whether `role` (null: none) is at least `least`. */
export function isAtLeast(role: Role | null, least: Role): boolean {
  return role !== null && roles.indexOf(role) >= roles.indexOf(least)
}

/** Finds the rule of a request; `allow` lists the methods of a path that has rules, but none for this method. */
export function createRuleFinder(
  rules: readonly AccessRule[],
): (method: string, path: string) => { rule: AccessRule } | { allow: string[] } {
  const exact = new Map<string, AccessRule[]>()
  const patterns: { readonly segments: readonly string[]; readonly rule: AccessRule }[] = []
  for (const rule of rules) {
    if (/[:*]/.test(rule.path)) patterns.push({ segments: rule.path.split('/'), rule })
    else exact.set(rule.path, [...(exact.get(rule.path) ?? []), rule])
  }
  return (method, path) => {
    const segments = path.split('/')
    const candidates = [
      ...(exact.get(path) ?? []),
      ...patterns.filter((pattern) => matches(pattern.segments, segments)).map((pattern) => pattern.rule),
    ]
    const asked = method === 'HEAD' ? 'GET' : method
    const rule = candidates.find((candidate) => candidate.method === asked || candidate.method === '*')
    if (rule) return { rule }
    const known = new Set(candidates.map((candidate) => candidate.method as string))
    return { allow: [...known, ...(known.has('GET') ? ['HEAD'] : [])] }
  }
}

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  const rest = pattern.at(-1) === '*'
  if (rest ? segments.length < pattern.length - 1 : segments.length !== pattern.length) return false
  return pattern.every((part, index) => {
    if (rest && index === pattern.length - 1) return true
    return part.startsWith(':') ? segments[index] !== '' : part === segments[index]
  })
}
