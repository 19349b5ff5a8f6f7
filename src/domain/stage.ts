/**
 * What the name of a requested file says about how far a boot has come: loader, its modules, configuration, kernel, report.
 *
 * A name is all there is: nothing here knows what the file holds. Source: file names of SYSLINUX, GRUB and iPXE, CONTRACT
 * "What machines ask over HTTP".
 */

/** `file`: a kernel, an initrd or what else a configuration names. */
export type Stage = 'loader' | 'module' | 'configuration' | 'report' | 'file'

const stages: readonly (readonly [RegExp, Stage])[] = [
  [/^\/?(localboot|nextboot|profile|nexttest|upload|extend|progress)(\/|$)/, 'report'],
  [
    /(^|\/)pxelinux\.cfg\/|(^|\/)(grub|boot|extlinux|syslinux)[^/]*\.(cfg|conf)(-[^/]*)?$|^\/?ipxe(\/|$)|\.ipxe$/i,
    'configuration',
  ],
  [/\.(c32|e32|e64|mod|lst|msg|png|jpe?g|pf2|txt|cat)$/i, 'module'],
  [/\.(0|n12|pxe|kpxe|kkpxe|efi)$/i, 'loader'],
]

/** Detail of a download that asked for a part of the file: many of them may be one file, read block by block. */
export const partDetail = 'in parts'

/** A configuration of GRUB's, which is a file like any other: `grub.cfg`, `grub.cfg-01-<mac>`, `grub.cfg-<ip in hex>`. */
export function isGrubConfiguration(name: string): boolean {
  return /(^|\/)grub\.cfg(-[^/]*)?$/i.test(name)
}

export function stageOf(name: string): Stage {
  return stages.find(([pattern]) => pattern.test(name))?.[1] ?? 'file'
}
