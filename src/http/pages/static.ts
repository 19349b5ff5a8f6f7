/**
 * The style sheet, script and icons of the pages: each has the hash of its content in its URL, so that browsers keep it
 * and yet never see an old one. Source: WEB.md "Behaviour" (one small script, nothing inline).
 */
import { createHash } from 'node:crypto'
import { getAsset } from '../../assets.ts'

const types = {
  'style.css': 'text/css; charset=utf-8',
  'app.js': 'text/javascript; charset=utf-8',
  'favicon.svg': 'image/svg+xml',
  'favicon-fail.svg': 'image/svg+xml',
} as const

export type StaticName = keyof typeof types

export interface StaticAsset {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly type: string
  /** Hex digits of its SHA-256, enough to tell two builds apart. */
  readonly hash: string
}

const hashDigits = 16

const loaded = new Map<StaticName, StaticAsset>()

function load(name: StaticName): StaticAsset {
  const known = loaded.get(name)
  if (known) return known
  const bytes = new Uint8Array(getAsset(`templates/pages/${name}`))
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, hashDigits)
  const asset = { bytes, type: types[name], hash }
  loaded.set(name, asset)
  return asset
}

/** `/assets/style.0123456789abcdef.css`. */
export function assetUrl(name: StaticName): string {
  const dot = name.lastIndexOf('.')
  return `/assets/${name.slice(0, dot)}.${load(name).hash}${name.slice(dot)}`
}

/** The asset of that URL path; undefined for an unknown name or the hash of another build. */
export function findStatic(path: string): StaticAsset | undefined {
  const name = (Object.keys(types) as StaticName[]).find((each) => assetUrl(each) === path)
  return name && load(name)
}
