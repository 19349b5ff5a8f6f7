/** Real clients as they were seen on the wire, each exchange named after its firmware. */
import { describe, test } from 'node:test'
import { pattern, runExchange } from '../harness/tftp-exchange.ts'

const files = { 'pxelinux.0': 2000, 'bootx64.efi': 4000, '/grub/grub.cfg': 300, Image: 3000, text: pattern(10) }

describe('quirks of firmware and loaders', () => {
  test('Intel BIOS ROM: size probe, "TFTP Aborted", then the data from the next port', () => {
    runExchange(
      files,
      `> RRQ pxelinux.0 octet tsize=0
       < OACK tsize=2000
       > ERROR 0 TFTP Aborted
       = probe
       > RRQ pxelinux.0 octet blksize=1456
       < OACK blksize=1456
       > ACK 0
       < DATA 1 (1456)
       > ACK 1
       < DATA 2 (544)
       > ACK 2
       = done`,
    )
  })
  test('Intel BIOS ROM: an RRQ repeated every second is one transfer', () => {
    runExchange(
      files,
      `> RRQ pxelinux.0 octet tsize=0
       < OACK tsize=2000
       . 900 ms
       > RRQ pxelinux.0 octet tsize=0
       < OACK tsize=2000
       . 900 ms
       > RRQ pxelinux.0 octet tsize=0
       < OACK tsize=2000
       > ERROR 0 TFTP Aborted
       = probe`,
    )
  })
  test('EDK2 / OVMF 2022.11: ERROR 8 after the OACK, then the data with windowsize 4', () => {
    runExchange(
      files,
      `> RRQ bootx64.efi octet tsize=0 blksize=1468 windowsize=4
       < OACK tsize=4000 blksize=1468 windowsize=4
       > ERROR 8 User aborted the transfer
       = probe
       > RRQ bootx64.efi octet blksize=1468 windowsize=4
       < OACK blksize=1468 windowsize=4
       > ACK 0
       < DATA 1..2 (1468)
       < DATA 3 (1064)
       > ACK 3
       = done`,
    )
  })
  test('PXELINUX 6.04: tsize and blksize 1408', () => {
    runExchange(
      files,
      '> RRQ pxelinux.0 octet tsize=0 blksize=1408\n< OACK tsize=2000 blksize=1408\n> ACK 0\n< DATA 1 (1408)',
    )
  })
  test('lpxelinux.0: the next file from the same port, at once', () => {
    runExchange(
      files,
      `> RRQ Image octet tsize=0 blksize=1408
       < OACK tsize=3000 blksize=1408
       > ACK 0
       < DATA 1 (1408)
       > ACK 1
       < DATA 2 (1408)
       > ACK 2
       < DATA 3 (184)
       > ACK 3
       = done
       > RRQ pxelinux.0 octet tsize=0 blksize=1408
       < OACK tsize=2000 blksize=1408`,
    )
  })
  test('GRUB 2.06: a half-read file is closed by ERROR 0', () => {
    runExchange(
      files,
      `> RRQ Image octet blksize=1024 tsize=0
       < OACK blksize=1024 tsize=3000
       > ACK 0
       < DATA 1 (1024)
       > ERROR 0 closed
       = aborted`,
    )
  })
  test('U-Boot 2023.01: timeout 5, and ACKs of blocks it did not expect are not answered', () => {
    runExchange(
      files,
      `> RRQ Image octet timeout=5 blksize=1468
       < OACK timeout=5 blksize=1468
       > ACK 0
       < DATA 1 (1468)
       > ACK 1
       < DATA 2 (1468)
       > ACK 1
       > ACK 1
       . 4999 ms
       . 1 ms
       < DATA 2 (1468)
       > ACK 2
       < DATA 3 (64)
       > ACK 2
       > ACK 3
       = done`,
    )
  })
  test('U-Boot with tftpwindowsize: one ACK a second after an overrun gets the window again', () => {
    runExchange(
      files,
      `> RRQ Image octet timeout=5 blksize=1468 windowsize=2
       < OACK timeout=5 blksize=1468 windowsize=2
       . 20 ms
       > ACK 0
       < DATA 1..2 (1468)
       . 1000 ms
       > ACK 0
       < DATA 1..2 (1468)
       . 1000 ms
       > ACK 1
       < DATA 2 (1468)
       < DATA 3 (64)`,
    )
  })
  test('curl: tsize 0, blksize 512, timeout 6', () => {
    runExchange(
      files,
      '> RRQ text octet tsize=0 blksize=512 timeout=6\n< OACK tsize=10 blksize=512 timeout=6\n> ACK 0\n< DATA 1 (10)\n> ACK 1\n= done',
    )
  })
})
