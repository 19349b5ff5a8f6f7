/**
 * Types of the two modules of `tftp2` 0.0.1 that are used: its RFC 1350 codec and its listening socket. The package ships
 * none. Only the members that are used stand here; the package's client and its transfer code are never loaded.
 */
declare module 'tftp2/packet.js' {
  interface ParsedPacket {
    opcode: number
    filename?: string
    mode?: string
    block?: number
    data?: Buffer
    code?: number
    message?: string
  }
  interface Codec {
    readonly OPCODE: { readonly RRQ: 1; readonly WRQ: 2; readonly DATA: 3; readonly ACK: 4; readonly ERROR: 5 }
    /** Throws below 4 bytes; takes strings without their NUL; reads strings as 7-bit. */
    parse(message: Uint8Array): ParsedPacket
    createReader(data: Uint8Array, offset?: number): { readStr(): string }
    createRequest(opcode: number, filename: string, mode: string): Buffer
    createAck(block: number): Buffer
  }
  const codec: Codec
  export = codec
}

declare module 'tftp2/server/index.js' {
  import type { RemoteInfo, Socket } from 'node:dgram'

  /** A UDP socket that hands each datagram to `handleMessage`, which is meant to be overridden. */
  class TFTPServer extends Socket {
    handleMessage(message: Buffer, from: RemoteInfo): unknown
  }
  export = TFTPServer
}
