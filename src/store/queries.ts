/**
 * The read functions over the database: one indexed, prepared statement each.
 *
 * Inside a decision they see its own events, outside only acknowledged records; caching and reports kept in memory are
 * laid over them by `lookups.ts`. Source: `store.ts`, which says what each answers.
 */
import type { Address, Mac } from '../domain/address.ts'
import { defaultSystem } from '../domain/name.ts'
import { selectNames } from '../domain/selector.ts'
import { createRunQueries } from './run-queries.ts'
import type { Database, Row } from './sqlite.ts'
import type { DecisionRow, ProfileRow, Queries, SystemRow, TokenRow } from './store.ts'

const tokenColumns = 'id, name, role, created, expires, revoked'
const nextBoot = `d.profile, d.seq, d.at, d."by", s.id, s.name FROM system s JOIN decision d ON d.id = s.decision`

export function createQueries(database: Database): Queries {
  const { get, all } = database
  const system = (row: Row | undefined) => row && toSystem(row)
  const next = (row: Row | undefined) => {
    if (!row) return undefined
    const [profile, seq, at, by, id, name] = row
    return {
      system: { id: Number(id), name: String(name) },
      profile: String(profile),
      seq: Number(seq),
      at: String(at),
      by: String(by),
    }
  }
  const listSystems = () => all('SELECT id, name FROM system ORDER BY id').map(toSystem)
  return {
    ...createRunQueries(database),
    findSystem: (name) => system(get('SELECT id, name FROM system WHERE name = ?', [name])),
    getSystem: (id) => system(get('SELECT id, name FROM system WHERE id = ?', [id])),
    listSystems,
    systemsLike(selector) {
      const rows = new Map(listSystems().map((row) => [row.name, row]))
      rows.delete(defaultSystem)
      return selectNames(selector, rows.keys()).flatMap((name) => rows.get(name) ?? [])
    },
    countSystems: () => Number(get('SELECT count(*) FROM system')?.[0]),
    addressesOf: (id) =>
      all('SELECT kind, text FROM address WHERE system = ? ORDER BY place', [id]).map(
        ([kind, text]) => ({ kind, text }) as Address,
      ),
    systemsWith: (address) =>
      all('SELECT s.id, s.name FROM address a JOIN system s ON s.id = a.system WHERE a.text = ? ORDER BY s.id', [
        address,
      ]).map(toSystem),
    decisionsOf: (id, limit) =>
      all('SELECT id, seq, at, profile, "by" FROM decision WHERE system = ? ORDER BY id DESC LIMIT ?', [
        id,
        Math.min(limit, Number.MAX_SAFE_INTEGER),
      ]).map(toDecision),
    nextBootOf: (address) =>
      next(
        get(`SELECT ${nextBoot} JOIN address a ON a.system = s.id WHERE a.text = ? ORDER BY s.decision DESC LIMIT 1`, [
          address,
        ]),
      ),
    defaultNextBoot: () => next(get(`SELECT ${nextBoot} WHERE s.name = ?`, [defaultSystem])),
    rememberedFor: (address) => {
      const row = get(
        `SELECT r.profile, r.seq, r.at, s.id, s.name FROM remembered r LEFT JOIN system s ON s.id = r.system
         WHERE r.text = ?`,
        [address],
      )
      if (!row) return undefined
      const [profile, seq, at, id, name] = row
      return {
        profile: String(profile),
        seq: Number(seq),
        at: String(at),
        system: id === null ? null : { id: Number(id), name: String(name) },
      }
    },
    lastMacOf: (ip) => get('SELECT mac FROM boot_address WHERE ip = ?', [ip])?.[0] as Mac | undefined,
    lastIpOf: (mac) =>
      get('SELECT ip FROM boot_address WHERE mac = ? ORDER BY place DESC LIMIT 1', [mac])?.[0] as string | undefined,
    findProfile: (name) => {
      const row = get('SELECT id, name, available FROM profile WHERE name = ?', [name])
      return row && toProfile(row)
    },
    listProfiles: () => all('SELECT id, name, available FROM profile ORDER BY id').map(toProfile),
    nextBootProfiles: () =>
      all(
        'SELECT d.profile, count(*), min(s.name) FROM system s JOIN decision d ON d.id = s.decision GROUP BY d.profile',
      ).map(([profile, systems, first]) => ({
        profile: String(profile),
        systems: Number(systems),
        first: String(first),
      })),
    findToken: (hash) => token(get(`SELECT ${tokenColumns} FROM token WHERE hash = ?`, [hash])),
    findTokenByName: (name) =>
      token(get(`SELECT ${tokenColumns} FROM token WHERE name = ? ORDER BY revoked, id DESC LIMIT 1`, [name])),
    listTokens: () => all(`SELECT ${tokenColumns} FROM token ORDER BY id`).map(toToken),
  }
}

/** Addresses of the reports remembered through a prefix system. */
export function rememberedOf(database: Database, system: number): string[] {
  return database.all('SELECT text FROM remembered WHERE system = ?', [system]).map(([text]) => String(text))
}

function toSystem([id, name]: Row): SystemRow {
  return { id: Number(id), name: String(name) }
}

function toDecision([id, seq, at, profile, by]: Row): DecisionRow {
  return { id: Number(id), seq: Number(seq), at: String(at), profile: String(profile), by: String(by) }
}

function toProfile([id, name, available]: Row): ProfileRow {
  return { id: Number(id), name: String(name), available: available === 1 }
}

function token(row: Row | undefined): TokenRow | undefined {
  return row && toToken(row)
}

function toToken([id, name, role, created, expires, revoked]: Row): TokenRow {
  return {
    id: Number(id),
    name: String(name),
    role: role as TokenRow['role'],
    created: String(created),
    expires: expires === null ? null : String(expires),
    revoked: revoked === 1,
  }
}
