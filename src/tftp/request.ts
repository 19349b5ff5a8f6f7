/**
 * What is said to a request before anyone asks what its name means: writing, unknown modes and the empty name are refused here.
 *
 * Source: RFC 1350 §2 (modes), §5 (error codes), PROTOCOLS §1 "Packets".
 */
import { errorCodes, formatError, type Request } from './packet.ts'

export interface RequestRefusal {
  readonly code: number
  readonly text: string
}

/** Why a request is refused whatever its name is; undefined if it may be answered. */
export function refuseRequest(request: Request): RequestRefusal | undefined {
  if (request.kind === 'wrq') {
    return { code: errorCodes.accessViolation, text: 'this server only sends files: writing is not allowed' }
  }
  if (request.mode !== 'octet' && request.mode !== 'netascii') {
    const mode = request.mode === '' ? 'no mode' : `mode ${request.mode}`
    return { code: errorCodes.illegalOperation, text: `${mode}: only octet and netascii are known` }
  }
  if (request.name === '') return { code: errorCodes.illegalOperation, text: 'the request names no file' }
  return undefined
}

/** The ERROR packet of a refusal. */
export function formatRefusal(refusal: RequestRefusal): Buffer {
  return formatError(refusal.code, refusal.text)
}
