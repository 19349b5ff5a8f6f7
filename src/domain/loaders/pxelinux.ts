/**
 * PXELINUX, syslinux.efi and U-Boot read `.prof` files themselves: the bytes stay as they are, whatever they hold.
 * Source: CONTRACT "TFTP".
 */
import type { Dialect } from './dialect.ts'

export const pxelinux: Dialect = { render: (bytes) => bytes, contentType: 'text/plain; charset=utf-8' }
