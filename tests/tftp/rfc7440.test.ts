/** RFC 7440 as exchanges: windows, gaps, and rewinding at most once in a round trip. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { runExchange } from '../harness/tftp-exchange.ts'

const files = { file: 512 * 20 + 100, small: 700, wide: 1468 * 200 }

describe('RFC 7440: windowsize', () => {
  test('a window is sent whole, then the next after the ACK of its last block', () => {
    const transfer = runExchange(
      files,
      `> RRQ file octet windowsize=8
       < OACK windowsize=8
       > ACK 0
       < DATA 1..8 (512)
       > ACK 8
       < DATA 9..16 (512)
       > ACK 16
       < DATA 17..20 (512)
       < DATA 21 (100)
       > ACK 21
       = done`,
    )
    assert.equal(transfer?.retransmissions, 0)
  })
  test('a file shorter than the window is sent up to its end', () => {
    runExchange(
      files,
      '> RRQ small octet windowsize=16\n< OACK windowsize=16\n> ACK 0\n< DATA 1 (512)\n< DATA 2 (188)\n> ACK 2\n= done',
    )
  })
  test('more than 64 is answered 64; 0, more than 65535 and junk are left out', () => {
    runExchange(files, '> RRQ file octet windowsize=65535\n< OACK windowsize=64')
    for (const asked of ['0', '65536', '-1', 'x'])
      runExchange(files, `> RRQ file octet windowsize=${asked}\n< DATA 1 (512)`)
  })
  test('an ACK inside the window continues after it', () => {
    const transfer = runExchange(
      files,
      `> RRQ file octet windowsize=4
       < OACK windowsize=4
       . 10 ms
       > ACK 0
       < DATA 1..4 (512)
       . 10 ms
       > ACK 2
       < DATA 3..6 (512)
       > ACK 2          # copies of that ACK, one for each block out of order
       > ACK 2
       . 9 ms
       > ACK 2
       > ACK 6
       < DATA 7..10 (512)`,
    )
    assert.equal(transfer?.retransmissions, 2)
  })
  test('an ACK of the base says that the first block was lost: the window goes again, once in a round trip', () => {
    runExchange(
      files,
      `> RRQ file octet windowsize=4
       < OACK windowsize=4
       . 10 ms
       > ACK 0
       < DATA 1..4 (512)
       . 2 ms
       > ACK 0          # too early to be about this window
       . 8 ms
       > ACK 0
       < DATA 1..4 (512)
       > ACK 0
       > ACK 0
       . 9 ms
       > ACK 0
       . 1 ms
       > ACK 0
       < DATA 1..4 (512)`,
    )
  })
  test('an ACK below the base is old and ignored', () => {
    runExchange(
      files,
      `> RRQ file octet windowsize=4
       < OACK windowsize=4
       > ACK 0
       < DATA 1..4 (512)
       > ACK 4
       < DATA 5..8 (512)
       . 100 ms
       > ACK 3
       > ACK 0`,
    )
  })
  test('a late block that arrives after a rewind may be acknowledged up to what was ever sent', () => {
    runExchange(
      files,
      `> RRQ file octet windowsize=4
       < OACK windowsize=4
       > ACK 0
       < DATA 1..4 (512)
       > ACK 1
       < DATA 2..5 (512)
       > ACK 4
       < DATA 5..8 (512)
       > ACK 9          # never sent
       > ACK 8
       < DATA 9..12 (512)`,
    )
  })
  test('silence sends the whole window again at the timeout', () => {
    runExchange(
      files,
      `> RRQ file octet windowsize=4
       < OACK windowsize=4
       . 10 ms
       > ACK 0
       < DATA 1..4 (512)
       . 399 ms
       . 1 ms
       < DATA 1..4 (512)
       > ACK 4
       < DATA 5..8 (512)`,
    )
  })
  test('a window of more than 64 KiB goes out in bursts, a millisecond apart', () => {
    runExchange(
      files,
      `> RRQ wide octet blksize=1468 windowsize=64
       < OACK blksize=1468 windowsize=64
       . 5 ms
       > ACK 0
       < DATA 1..44 (1468)
       . 1 ms
       < DATA 45..64 (1468)
       . 5 ms
       > ACK 64
       < DATA 65..108 (1468)
       > ACK 66          # a gap while the window is half out
       < DATA 67..110 (1468)
       . 1 ms
       < DATA 111..130 (1468)`,
    )
  })
})
