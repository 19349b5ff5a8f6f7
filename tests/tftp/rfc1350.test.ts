/** RFC 1350 as exchanges: lockstep transfers, modes, errors, repeats, the end. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { runExchange } from '../harness/tftp-exchange.ts'

const files = { small: 100, exact: 1024, empty: 0, three: 1300, big: 70_000 * 8 }

describe('RFC 1350 §2, §6: a file goes block by block', () => {
  test('the first block is 1 and one shorter than 512 bytes ends the transfer', () => {
    const transfer = runExchange(
      files,
      `> RRQ three octet
       < DATA 1 (512)
       > ACK 1
       < DATA 2 (512)
       > ACK 2
       < DATA 3 (276)
       > ACK 3
       = done`,
    )
    assert.equal(transfer?.acknowledgedBytes, 1300)
    assert.equal(transfer?.retransmissions, 0)
  })
  test('a file that fills its last block ends with an empty one', () => {
    runExchange(
      files,
      `> RRQ exact OCTET
       < DATA 1 (512)
       > ACK 1
       < DATA 2 (512)
       > ACK 2
       < DATA 3 (0)
       > ACK 3
       = done`,
    )
  })
  test('an empty file is one empty block', () => {
    runExchange(files, '> RRQ empty octet\n< DATA 1 (0)\n> ACK 1\n= done')
  })
})

describe('RFC 1350 §2: what is lost is sent again, and nothing twice', () => {
  test('a block without its ACK goes again after 1 s, then with doubled waits, and the client is given up after 6 repeats', () => {
    const transfer = runExchange(
      files,
      `> RRQ small octet
       < DATA 1 (100)
       . 999 ms
       . 1 ms
       < DATA 1 (100)   # 1 s
       . 1999 ms
       . 1 ms
       < DATA 1 (100)   # 2 s
       . 4000 ms
       < DATA 1 (100)
       . 5000 ms
       < DATA 1 (100)   # never longer than 5 s
       . 5000 ms
       < DATA 1 (100)
       . 5000 ms
       < DATA 1 (100)
       = running
       . 5000 ms
       = timeout
       > ACK 1`,
    )
    assert.equal(transfer?.retransmissions, 6)
    assert.equal(transfer?.acknowledgedBytes, 0)
  })
  test('the wait follows the round trip of the client but is never under 0.4 s', () => {
    runExchange(
      files,
      `> RRQ three octet
       < DATA 1 (512)
       . 2 ms
       > ACK 1
       < DATA 2 (512)
       . 399 ms
       . 1 ms
       < DATA 2 (512)
       . 799 ms
       . 1 ms
       < DATA 2 (512)
       . 5 ms
       > ACK 2
       < DATA 3 (276)
       . 400 ms
       < DATA 3 (276)  # back at the estimate after the new ACK
       > ACK 3
       = done`,
    )
  })
  test('a client that needs 2 s for each block is not sent every block twice', () => {
    const transfer = runExchange(
      { file: 512 * 6 },
      `> RRQ file octet
       < DATA 1 (512)
       . 1000 ms
       < DATA 1 (512)
       . 1000 ms
       > ACK 1
       < DATA 2 (512)
       . 1000 ms
       < DATA 2 (512)
       . 1000 ms
       > ACK 2
       < DATA 3 (512)
       . 2000 ms       # the wait stays at what the last repeat had taught: 2 s
       < DATA 3 (512)
       . 100 ms
       > ACK 3
       < DATA 4 (512)
       . 2000 ms
       > ACK 4         # measured at last
       < DATA 5 (512)
       . 2100 ms
       > ACK 5
       < DATA 6 (512)
       . 2100 ms
       > ACK 6
       < DATA 7 (0)
       > ACK 7
       = done`,
    )
    assert.equal(transfer?.retransmissions, 3)
  })
  test("a repeated ACK sends nothing (the Sorcerer's Apprentice)", () => {
    runExchange(
      files,
      `> RRQ three octet
       < DATA 1 (512)
       > ACK 1
       < DATA 2 (512)
       > ACK 1
       > ACK 1
       > ACK 0
       > ACK 2
       < DATA 3 (276)
       > ACK 2
       > ACK 3
       = done
       > ACK 3`,
    )
  })
  test('an ACK of a block never sent is ignored', () => {
    runExchange(
      files,
      `> RRQ three octet
       < DATA 1 (512)
       > ACK 40
       > ACK 2
       > ACK 65535
       = running
       > ACK 1
       < DATA 2 (512)`,
    )
  })
  test('the last block is repeated like any other', () => {
    runExchange(files, '> RRQ small octet\n< DATA 1 (100)\n. 1000 ms\n< DATA 1 (100)\n> ACK 1\n= done')
  })
  test('the same RRQ again before the first ACK is answered by the same packet, once', () => {
    runExchange(
      files,
      `> RRQ three octet
       < DATA 1 (512)
       > RRQ three octet
       < DATA 1 (512)
       > ACK 1
       < DATA 2 (512)
       > ACK 1
       > ACK 2
       < DATA 3 (276)`,
    )
  })
  test('the same RRQ after the first ACK is a machine that was reset: the transfer starts anew', () => {
    runExchange(
      files,
      `> RRQ three octet
       < DATA 1 (512)
       > ACK 1
       < DATA 2 (512)
       > RRQ three octet
       < DATA 1 (512)
       > ACK 1
       < DATA 2 (512)`,
    )
  })
  test('another RRQ from the same port replaces the transfer at once', () => {
    runExchange(files, '> RRQ three octet\n< DATA 1 (512)\n> RRQ small octet\n< DATA 1 (100)\n> ACK 1\n= done')
  })
})

describe('RFC 1350 §5: errors', () => {
  test('a name that is not there gets ERROR 1 with the name', () => {
    runExchange(files, '> RRQ none octet\n< ERROR 1 none')
  })
  test('a write request gets ERROR 2', () => {
    runExchange(files, '> WRQ small octet\n< ERROR 2 writing is not allowed')
  })
  test('mode mail and unknown modes get ERROR 4', () => {
    runExchange(files, '> RRQ small mail\n< ERROR 4 mail\n> RRQ small binary\n< ERROR 4 binary')
  })
  test('an ERROR ends the transfer and is never answered', () => {
    const transfer = runExchange(
      files,
      `> RRQ three octet
       < DATA 1 (512)
       > ERROR 3 Disk full
       = aborted
       . 60000 ms`,
    )
    assert.equal(transfer?.detail, 'client: Disk full')
  })
  test('packets that are no ACK are ignored: short ones, DATA, OACK, unknown opcodes', () => {
    runExchange(
      files,
      `> RRQ three octet
       < DATA 1 (512)
       > HEX 0004
       > HEX 000400
       > HEX 00030001ff
       > HEX 0006626c6b73697a650035313200
       > HEX 00070001
       > HEX 01040001
       > HEX 00
       = running
       > ACK 1
       < DATA 2 (512)`,
    )
  })
})

describe('roll-over: after block 65535 comes 0', () => {
  test('a file of 70,000 blocks goes through whole', () => {
    const lines = ['> RRQ big octet blksize=8', '< OACK blksize=8', '> ACK 0']
    for (let block = 1; block <= 70_000; block++) lines.push(`< DATA ${block & 0xffff} (8)`, `> ACK ${block & 0xffff}`)
    lines.push(`< DATA ${70_001 & 0xffff} (0)`, `> ACK ${70_001 & 0xffff}`, '= done')
    const transfer = runExchange(files, lines.join('\n'))
    assert.equal(transfer?.acknowledgedBytes, 560_000)
  })
  test('windows go over the border in order, and a gap there rewinds', () => {
    const lines = ['> RRQ big octet blksize=8 windowsize=16', '< OACK blksize=8 windowsize=16', '> ACK 0']
    for (let block = 0; block < 65_520; block += 16)
      lines.push(`< DATA ${block + 1}..${block + 16} (8)`, `> ACK ${block + 16}`)
    lines.push('< DATA 65521..65536 (8)', '> ACK 65534', '< DATA 65535..65550 (8)', `> ACK ${65_550 & 0xffff}`)
    lines.push('< DATA 65551..65566 (8)')
    const transfer = runExchange(files, lines.join('\n'))
    assert.equal(transfer?.retransmissions, 2)
  })
})
