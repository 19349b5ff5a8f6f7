/**
 * The tree of names that machines see: what a requested name means.
 *
 * `pxelinux.cfg/<UUID | 01-MAC | IP in hex | default>`, in whatever folder, is computed at the request and never looked for
 * among the files; every other name is a path for the file tree (the TFTP root, then the embedded loaders). A name that
 * no system has is ERROR 1, so that PXELINUX goes on to its next one. Only names are cleaned here; that a file lies
 * inside the root is settled where it is opened (`jail.ts`). Source: CONTRACT "TFTP", PROTOCOLS §1 and §2.
 */
import { type Ip4, type Ip4Prefix, type Mac, macOfPath, parseIp4Hex, parseMac } from '../domain/address.ts'
import type { BootQuestion, Decision } from '../domain/boot.ts'
import { dialects } from '../domain/loaders/index.ts'
import type { AnswerBoot } from '../profiles/answer.ts'
import { isIp6 } from './client.ts'
import type { Requester, Resolution, Resolve } from './resolution.ts'

export interface TreeOptions {
  readonly answerBoot: AnswerBoot
  /** Base URL that reaches this server from there, no slash at its end. */
  readonly url: (from: Requester) => string
  /** MAC that an address last booted with. */
  readonly lastMacOf: (address: string) => Mac | undefined
  /** A machine asked for its configuration by its MAC: it boots from this address. */
  readonly onMacAsked?: (mac: Mac, from: Requester) => void
  /** A configuration was computed: for the trace of boots. `mac`: that of its name, if it is named after one. */
  readonly onConfigServed?: (decision: Decision, from: Requester, mac: Mac | undefined) => void
  /** One was computed for a program that is no loader: a person's look, or a machine that boots by other means. */
  readonly onConfigSeen?: (decision: Decision, from: Requester, mac: Mac | undefined) => void
}

const errorNotFound = 1
const errorAccessViolation = 2
/** ERROR texts are printed by ROMs on one line, and must fit any packet with the header. */
const textMax = 200

/** MACs kept by the name that PXELINUX asks for first: some 150 bytes each. */
const macsMax = 16_384

export function createTree(options: TreeOptions): Resolve {
  const macs = new Map<string, Mac>()
  return (name, from) => {
    const asked = macOf(name)
    if (asked !== undefined) return answer({ kind: 'mac', mac: asked, ip: ip4Of(from) }, from)
    const path = cleanPath(name)
    if (path === undefined) {
      const why = name.includes('\0') ? 'the name holds a NUL' : 'the name leads out of the TFTP root'
      return refuse(errorAccessViolation, why)
    }
    if (path === '') return refuse(errorNotFound, 'no file is named')
    const config = configName(path)
    if (config === undefined) return { kind: 'file', path }
    const question = questionOf(config, from)
    if (question === undefined) return refuse(errorNotFound, unownedText(config))
    return answer(question, from)
  }

  /** One string a machine, so that whoever looks it up need not read it again each time. */
  function macOf(name: string): Mac | undefined {
    const known = macs.get(name)
    if (known !== undefined) return known
    const mac = macOfPath(name)
    if (mac === undefined) return undefined
    if (macs.size >= macsMax) macs.clear()
    macs.set(name, mac)
    return mac
  }

  function answer(question: BootQuestion, from: Requester): Resolution {
    if (question.kind === 'mac' && !from.preview) options.onMacAsked?.(question.mac, from)
    const answer = options.answerBoot(question, {
      mac: () => (question.kind === 'mac' ? question.mac : (options.lastMacOf(from.address) ?? '')),
      ip: from.address,
      url: () => from.url ?? options.url(from),
      steps: 'untold',
    })
    if (!answer.found) return refuse(errorNotFound, answer.hint)
    const mac = question.kind === 'mac' ? question.mac : undefined
    const tell = from.preview ? options.onConfigSeen : options.onConfigServed
    tell?.(answer.decision, from, mac)
    return {
      kind: 'bytes',
      bytes: dialects.pxelinux.render(answer.bytes, {
        profile: answer.decision.profile,
        url: '',
        mac,
      }),
    }
  }
}

function refuse(code: number, text: string): Resolution {
  return { kind: 'error', code, text: text.length > textMax ? `${text.slice(0, textMax - 1)}…` : text }
}

/**
 * The name as a relative path with `/`: leading `/`, `./` and `//` mean nothing, `\` is `/`, `..` goes up. undefined: it
 * leads out of the root, or holds a NUL.
 */
export function cleanPath(name: string): string | undefined {
  if (name.includes('\0')) return undefined
  const parts: string[] = []
  for (const part of name.replaceAll('\\', '/').split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) return undefined
  }
  return parts.join('/')
}

const folder = 'pxelinux.cfg'
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const macName = /^01-[0-9a-f]{2}(-[0-9a-f]{2}){5}$/i
/** PXELINUX and U-Boot ask in upper case; `beef` may be somebody's menu. */
const ipName = /^[0-9A-F]{1,8}$/

/** Last part of a name of PXELINUX's search; undefined: the name is none, so an ordinary file. */
function configName(path: string): string | undefined {
  const slash = path.lastIndexOf('/')
  const parent = path.slice(0, Math.max(slash, 0))
  if (parent !== folder && !parent.endsWith(`/${folder}`)) return undefined
  const name = path.slice(slash + 1)
  return name === 'default' || macName.test(name) || ipName.test(name) || uuid.test(name) ? name : undefined
}

/** undefined: a name that no system can have (UUIDs until they can; an odd number of digits; less than two octets). */
function questionOf(name: string, from: Requester): BootQuestion | undefined {
  if (name === 'default') return { kind: 'default' }
  if (macName.test(name)) {
    const mac = parseMac(name)
    return mac && { kind: 'mac', mac, ip: ip4Of(from) }
  }
  const address = parseIp4Hex(name)
  if (address === undefined) return undefined
  return name.length === 8 ? { kind: 'ip4', ip: address as Ip4 } : { kind: 'prefix4', prefix: address as Ip4Prefix }
}

/** Addresses come from the kernel, in one spelling. */
function ip4Of({ address }: Requester): Ip4 | undefined {
  return isIp6(address) ? undefined : (address as Ip4)
}

function unownedText(name: string): string {
  return uuid.test(name)
    ? `no system has the UUID ${name}`
    : `no system can have the address ${name}: it has not 2 to 4 whole octets`
}
