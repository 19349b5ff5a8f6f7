/**
 * iPXE script of the entry that a profile boots by itself.
 *
 * Kernel and initrds are fetched from `/boot/` of this server; URLs in the profile are kept. iPXE splits a line at
 * blanks, has no quotes, puts settings in for `${…}` before it splits, and takes words that are `||`, `&&`, `;` or begin
 * with `#` for its own: file names are therefore percent-encoded, and what cannot be passed on is said in an `echo`.
 * EFI kernels find their initrds by `initrd=` on the command line, BIOS ones ignore it. Local boot: the first disk on
 * BIOS; on EFI the script ends with an error, after which the firmware tries its next entry (a plain `exit` opens the
 * set-up menu). A profile that is an iPXE script itself stays as it is. Source: ipxe.org/cmd, PROTOCOLS 3, QEMU "Traps", COMPATIBILITY 4.3 (0.8's form, bug M7).
 */
import { formatMacDashes } from '../address.ts'
import { initrdsOf, splitArguments } from '../boot-files.ts'
import { type Label, parseProfile } from '../profile.ts'
import { selectLabel } from '../selection.ts'
import type { Dialect, LoaderContext } from './dialect.ts'

export const ipxe: Dialect = {
  render: (bytes, context) => new TextEncoder().encode(renderIpxe(new TextDecoder().decode(bytes), context)),
  contentType: 'text/plain; charset=utf-8',
}

/** Whether a profile is an iPXE script itself: iPXE asks for this first line, and takes nothing else for a script. */
export function isIpxeScript(text: string): boolean {
  return /^#!ipxe\s/.test(text)
}

/** The whole script, first line `#!ipxe`. */
export function renderIpxe(text: string, context: LoaderContext): string {
  if (isIpxeScript(text)) return text
  const profile = parseProfile(text)
  const selection = selectLabel(profile)
  const lines: string[] = []
  for (const remark of selection?.remarks ?? []) lines.push(say(remark, context))
  for (const include of profile.includes) lines.push(say(`INCLUDE ${include.text} is not read`, context))
  lines.push(...(selection ? bootLabel(selection.label, context) : fail('it has no LABEL', context)))
  return `#!ipxe\n\n${lines.join('\n')}\n`
}

function bootLabel(label: Label, context: LoaderContext): string[] {
  if (label.localboot !== undefined) return bootLocal(label.localboot)
  const { kernel } = label
  if (!kernel) return fail(`label ${label.name} has neither KERNEL nor LOCALBOOT`, context)
  const program = (kernel.file.split('/').at(-1) ?? '').toLowerCase()
  switch (kernel.kind) {
    case 'linux':
      return bootLinux(label, kernel.file, kernel.args, context)
    case 'nbp':
      return [`chain ${fileUrl(kernel.file, context)}`]
    case 'module': {
      const disk = /^hd([0-9]{1,2})\b/.exec(label.append)
      if (program === 'chain.c32' && disk) return bootLocal(firstDisk + Number(disk[1]))
      if (program === 'reboot.c32') return ['reboot']
      if (program === 'poweroff.c32') return ['poweroff']
      return fail(`label ${label.name}: iPXE cannot run ${kernel.file}`, context)
    }
    case 'config':
      return fail(`label ${label.name}: iPXE cannot read the configuration ${kernel.file}`, context)
    case 'other':
      return program === 'poweroff.com'
        ? ['poweroff']
        : fail(`label ${label.name}: iPXE cannot start ${kernel.file}`, context)
    default:
      return kernel.kind satisfies never
  }
}

/** BIOS number of the first disk. */
const firstDisk = 0x80

/**
 * LOCALBOOT n. 0, 4 and 5 differ only in what of the PXE stack stays in memory; -1 asks for the next boot device, which
 * a script that fails gives; 1 to 3 are 0.8's further disks; 0x80 and up is a disk in ISOLINUX's way of counting.
 */
function bootLocal(n: number): string[] {
  if (n < 0) return ['exit 1']
  const drive = n >= firstDisk && n <= 0xff ? n : n > 0 && n < 4 ? firstDisk + n : firstDisk
  return [
    // biome-ignore lint/suspicious/noTemplateCurlyInString: iPXE's own setting, put in by iPXE.
    'iseq ${platform} efi && goto efi ||',
    `sanboot --no-describe --drive 0x${drive.toString(16)}`,
    ':efi',
    'exit 1',
  ]
}

function bootLinux(label: Label, file: string, kernelArgs: string, context: LoaderContext): string[] {
  const remarks: string[] = []
  const initrds = initrdsOf(label)
  const args: string[] = []
  for (const word of splitArguments(`${kernelArgs} ${label.append}`)) {
    if (word.startsWith('initrd=')) continue
    if (word.startsWith('#') || word === '||' || word === '&&' || word === ';') {
      remarks.push(`argument ${word} cannot be passed on`)
    } else {
      if (word.includes('${')) remarks.push(`iPXE puts its own setting in for the one in argument ${word}`)
      args.push(word)
    }
  }
  if (label.deviceTree !== undefined) remarks.push(`FDT ${label.deviceTree} is not passed on`)
  const names = imageNames(initrds)
  const added = [...names.map((name) => `initrd=${name}`), ...systemArguments(label.sysappend, context, remarks)]
  return [
    ...remarks.map((remark) => say(`label ${label.name}: ${remark}`, context)),
    ['kernel', fileUrl(file, context), ...added, ...args].join(' '),
    ...initrds.map((initrd, index) => {
      const url = fileUrl(initrd, context)
      const name = names[index] ?? ''
      return url.endsWith(`/${name}`) ? `initrd ${url}` : `initrd --name ${name} ${url}`
    }),
    'boot',
  ]
}

/** SYSAPPEND (IPAPPEND) mask → arguments, as PXELINUX adds them; further bits (DMI strings) are remarked. */
function systemArguments(mask: number, context: LoaderContext, remarks: string[]): string[] {
  const args: string[] = []
  const has = (bit: number) => mask > 0 && (mask & bit) !== 0
  /* biome-ignore-start lint/suspicious/noTemplateCurlyInString: iPXE's own settings, put in by iPXE. */
  if (has(1)) args.push('ip=${net0/ip}:${next-server}:${net0/gateway}:${net0/netmask}')
  if (has(2)) args.push(`BOOTIF=${context.mac ? formatMacDashes(context.mac) : '01-${net0/mac:hexhyp}'}`)
  if (has(4)) args.push('SYSUUID=${uuid}')
  /* biome-ignore-end lint/suspicious/noTemplateCurlyInString: as above */
  if (mask > 7) remarks.push(`SYSAPPEND bits above 4 of ${mask} are not passed on`)
  return args
}

/** A name for each initrd that can stand in `initrd=`, each once: the last part of the file's name where that can. */
function imageNames(files: readonly string[]): string[] {
  const names: string[] = []
  for (const [index, file] of files.entries()) {
    const last = file.split(/[?#]/)[0]?.split('/').at(-1) ?? ''
    names.push(/^[A-Za-z0-9._-]+$/.test(last) && !names.includes(last) ? last : `initrd${index}.img`)
  }
  return names
}

/**
 * URL of a file as PXELINUX names it: absolute URLs kept, `server::file` by TFTP from that server, `::file` and
 * everything else from `/boot/` here.
 */
function fileUrl(file: string, context: LoaderContext): string {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(file)) return file
  const elsewhere = /^([^:/]+)::(.*)$/s.exec(file)
  if (elsewhere) return `tftp://${encodePath(elsewhere[1] ?? '')}/${encodePath(elsewhere[2] ?? '')}`
  return `${context.url}/boot/${encodePath(file.replace(/^::/, ''))}`
}

/** Percent-encodes all but what is plain in every URL; a lone surrogate (no text in any encoding) becomes U+FFFD. */
function encodePath(path: string): string {
  return path
    .replaceAll('\\', '/')
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .map((part) => encodeURIComponent(part.toWellFormed()).replace(/['()*!]/g, encodeSign))
    .join('/')
}

function encodeSign(sign: string): string {
  return `%${sign.charCodeAt(0).toString(16).toUpperCase()}`
}

function fail(text: string, context: LoaderContext): string[] {
  return [say(text, context), 'exit 1']
}

/** One `echo` of words that iPXE takes for nothing else. */
function say(text: string, context: LoaderContext): string {
  const plain = `profile ${context.profile}: ${text}`.slice(0, 200).replace(/[^A-Za-z0-9 ._:/=,+@-]/g, '?')
  return `echo pxemngr: ${plain}`
}
