/**
 * Which options of a request are granted, with which value: one entry an option.
 *
 * An option that is unknown, out of range or no plain number is left out of the OACK, never refused: every client goes on
 * with the default then. Nothing granted means no OACK at all.
 * Sources: RFC 2347 (negotiation), 2348 (blksize), 2349 (tsize, timeout), 7440 (windowsize), PROTOCOLS §1.
 */
import { formatOack } from './packet.ts'

/** RFC 1350: without an option. */
const BLKSIZE_DEFAULT = 512
const BLKSIZE_MIN = 8
/** RFC 2348: 65535 less the IP, UDP and TFTP headers. */
const BLKSIZE_MAX = 65464
const TIMEOUT_MAX_S = 255
const WINDOWSIZE_MAX_ASKED = 65535
/** More blocks in flight overrun the NICs of real clients (U-Boot's reception ends at 32); RFC 7440 lets the server answer less. */
const WINDOWSIZE_MAX = 64

type Grant = (value: string, sizeBytes: number | undefined) => number | undefined

const table: Readonly<Record<string, Grant>> = {
  blksize: (value) => {
    const asked = parseNumber(value)
    return asked === undefined || asked < BLKSIZE_MIN ? undefined : Math.min(asked, BLKSIZE_MAX)
  },
  // The real size whatever was sent; left out where it is not known before the conversion (netascii).
  tsize: (_value, sizeBytes) => sizeBytes,
  timeout: (value) => {
    const asked = parseNumber(value)
    return asked === undefined || asked < 1 || asked > TIMEOUT_MAX_S ? undefined : asked
  },
  windowsize: (value) => {
    const asked = parseNumber(value)
    if (asked === undefined || asked < 1 || asked > WINDOWSIZE_MAX_ASKED) return undefined
    return Math.min(asked, WINDOWSIZE_MAX)
  },
}

export interface Granted {
  /** Bytes, 8..65464. */
  readonly blksize: number
  /** Blocks, 1..64. */
  readonly windowsize: number
  /** The interval of repeats the client asked for; undefined: the server finds its own. */
  readonly timeoutMs: number | undefined
  /** What the OACK names, in the client's order; empty if nothing is granted. */
  readonly options: Readonly<Record<string, number>>
  /** undefined if nothing is granted: DATA 1 follows at once. */
  readonly oack: Buffer | undefined
}

/** What was granted for the same wish (`packet.ts` keeps those of machines) and size before. */
const granted = new WeakMap<ReadonlyMap<string, string>, Map<number, Granted>>()
const GRANTED_SIZES_MAX = 64

/** `sizeBytes`: what will be sent, undefined if not known yet. */
export function negotiate(asked: ReadonlyMap<string, string>, sizeBytes: number | undefined): Granted {
  if (asked.size === 0) return nothingGranted
  const size = sizeBytes ?? -1
  const before = granted.get(asked)
  const known = before?.get(size)
  if (known) return known
  const found = grant(asked, sizeBytes)
  if (!before) granted.set(asked, new Map([[size, found]]))
  else if (before.size < GRANTED_SIZES_MAX) before.set(size, found)
  return found
}

function grant(asked: ReadonlyMap<string, string>, sizeBytes: number | undefined): Granted {
  const options: Record<string, number> = {}
  let any = false
  for (const [name, value] of asked) {
    const allowed = Object.hasOwn(table, name) ? table[name]?.(value, sizeBytes) : undefined
    if (allowed === undefined) continue
    options[name] = allowed
    any = true
  }
  if (!any) return nothingGranted
  const { blksize, windowsize, timeout } = options as { blksize?: number; windowsize?: number; timeout?: number }
  return {
    blksize: blksize ?? BLKSIZE_DEFAULT,
    windowsize: windowsize ?? 1,
    timeoutMs: timeout === undefined ? undefined : timeout * 1000,
    options,
    oack: formatOack(Object.entries(options)),
  }
}

const nothingGranted: Granted = {
  blksize: BLKSIZE_DEFAULT,
  windowsize: 1,
  timeoutMs: undefined,
  options: {},
  oack: undefined,
}

/** Digits only and few of them: "-5", "abc" and 10^20 are answered with nonsense by others (PROTOCOLS, appendix). */
function parseNumber(value: string): number | undefined {
  return /^[0-9]{1,9}$/.test(value) ? Number(value) : undefined
}
