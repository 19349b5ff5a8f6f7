/** RFC 2347, 2348, 2349 as exchanges: which options are granted, and how the negotiation may end. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { runExchange } from '../harness/tftp-exchange.ts'

const files = { file: 3000, text: Buffer.from('a\nb\rc') }

describe('RFC 2347: option negotiation', () => {
  test('the OACK names what was asked and understood, in the order asked, and DATA 1 waits for ACK 0', () => {
    runExchange(
      files,
      `> RRQ file octet tsize=0 blksize=1408
       < OACK tsize=3000 blksize=1408
       . 500 ms
       > ACK 0
       < DATA 1 (1408)
       > ACK 1
       < DATA 2 (1408)
       > ACK 2
       < DATA 3 (184)
       > ACK 3
       = done`,
    )
  })
  test('option names are taken in any case and each only once, the first', () => {
    runExchange(files, '> RRQ file octet BLKSIZE=1024 BlkSize=512 TSIZE=0\n< OACK blksize=1024 tsize=3000')
  })
  test('unknown options are left out; with nothing accepted there is no OACK', () => {
    runExchange(files, '> RRQ file octet multicast= rollover=1\n< DATA 1 (512)')
    runExchange(files, '> RRQ file octet x=1 blksize=600 constructor=1 __proto__=2\n< OACK blksize=600')
  })
  test('an OACK is repeated and bounded like a block', () => {
    const transfer = runExchange(
      files,
      `> RRQ file octet blksize=1024
       < OACK blksize=1024
       . 1000 ms
       < OACK blksize=1024
       . 2000 ms
       < OACK blksize=1024
       . 4000 ms
       < OACK blksize=1024
       . 5000 ms
       < OACK blksize=1024
       . 5000 ms
       < OACK blksize=1024
       . 5000 ms
       < OACK blksize=1024
       . 5000 ms
       = timeout`,
    )
    assert.equal(transfer?.detail, 'the client never answered')
  })
  test('a repeated ACK 0 sends nothing, and other ACKs before it are ignored', () => {
    runExchange(
      files,
      `> RRQ file octet blksize=1024
       < OACK blksize=1024
       > ACK 1
       > ACK 0
       < DATA 1 (1024)
       > ACK 0
       > ACK 0`,
    )
  })
  test('a client that dislikes the OACK sends ERROR 8 and gets nothing more', () => {
    runExchange(files, '> RRQ file octet blksize=1024\n< OACK blksize=1024\n> ERROR 8 no\n= aborted\n. 60000 ms')
  })
  test('a size probe, ERROR after an OACK with tsize, is an outcome of its own', () => {
    runExchange(files, '> RRQ file octet tsize=0\n< OACK tsize=3000\n> ERROR 0 TFTP Aborted\n= probe\n. 60000 ms')
  })
  test('the same RRQ before ACK 0 gets the same OACK', () => {
    runExchange(
      files,
      `> RRQ file octet tsize=0
       < OACK tsize=3000
       > RRQ file octet tsize=0
       < OACK tsize=3000
       > ACK 0
       < DATA 1 (512)
       > ACK 0`,
    )
  })
  test('a missing file gets an ERROR in place of the OACK', () => {
    runExchange(files, '> RRQ none octet blksize=1024\n< ERROR 1 none')
  })
})

describe('RFC 2348: blksize', () => {
  for (const [asked, answer] of [
    ['8', '8'],
    ['1408', '1408'],
    ['1432', '1432'],
    ['1456', '1456'],
    ['1468', '1468'],
    ['65464', '65464'],
    ['65465', '65464'],
    ['999999999', '65464'],
  ]) {
    test(`${asked} is answered ${answer}`, () => {
      runExchange(files, `> RRQ file octet blksize=${asked}\n< OACK blksize=${answer}`)
    })
  }
  for (const asked of ['7', '0', '-5', 'abc', '1e3', '0x200', '512.0', '', '100000000000000000000', '+512', '١٢']) {
    test(`"${asked}" is left out`, () => {
      runExchange(files, `> RRQ file octet blksize=${asked}\n< DATA 1 (512)`)
    })
  }
})

describe('RFC 2349: tsize and timeout', () => {
  test('tsize is the real size whatever was sent', () => {
    runExchange(files, '> RRQ file octet tsize=77\n< OACK tsize=3000')
  })
  test('tsize counts converted bytes in netascii', () => {
    runExchange(files, '> RRQ text netascii tsize=0\n< OACK tsize=7\n> ACK 0\n< DATA 1 (7)\n> ACK 1\n= done')
  })
  test('a granted timeout is the interval of all repeats', () => {
    runExchange(
      files,
      `> RRQ file octet timeout=3
       < OACK timeout=3
       . 2999 ms
       . 1 ms
       < OACK timeout=3
       . 3000 ms
       < OACK timeout=3
       . 10 ms
       > ACK 0
       < DATA 1 (512)
       . 2999 ms
       . 1 ms
       < DATA 1 (512)`,
    )
  })
  for (const asked of ['0', '256', '-1', 'x']) {
    test(`timeout ${asked} is left out`, () => {
      runExchange(files, `> RRQ file octet timeout=${asked}\n< DATA 1 (512)`)
    })
  }
})
