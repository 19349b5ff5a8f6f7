/**
 * Refusals: the expected ways in which a request ends without being done, and the one table that says what each means
 * on every surface (exit status of the command line, HTTP status, TFTP error code).
 *
 * A refusal is thrown by whoever finds it and ends at a surface, which prints its one line. Anything else that is thrown
 * is a bug. Sources: CONTRACT "Command line" and "HTTP API" (exit and HTTP status), RFC 1350 §5 (TFTP codes),
 * RFC 9457 (problem documents).
 */

/** Kind of refusal → exit status of the command line, HTTP status, TFTP error code (null: cannot happen there). */
export const refusalKinds = {
  'not-found': { exit: 1, http: 404, tftp: 1 },
  refused: { exit: 1, http: 409, tftp: 2 },
  invalid: { exit: 1, http: 400, tftp: 2 },
  usage: { exit: 2, http: 400, tftp: 4 },
  unauthorized: { exit: 1, http: 401, tftp: 2 },
  forbidden: { exit: 1, http: 403, tftp: 2 },
  'too-large': { exit: 1, http: 413, tftp: 3 },
  unavailable: { exit: 1, http: 503, tftp: 0 },
  'disk-full': { exit: 1, http: 507, tftp: 3 },
  'not-kept': { exit: 1, http: 500, tftp: 0 },
  'no-daemon': { exit: 3, http: null, tftp: null },
} as const

export type RefusalKind = keyof typeof refusalKinds

/** RFC 9457 problem document as the API sends it; `detail` is the line the command line prints. */
export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  code: RefusalKind
  /** What to do next, for people; absent: the detail says it all. */
  hint?: string
}

const titles: Record<RefusalKind, string> = {
  'not-found': 'Not found',
  refused: 'Refused',
  invalid: 'Invalid value',
  usage: 'Wrong usage',
  unauthorized: 'Credentials needed',
  forbidden: 'Not allowed',
  'too-large': 'Too large',
  unavailable: 'Not available now',
  'disk-full': 'No space left',
  'not-kept': 'Not known to be kept',
  'no-daemon': 'No daemon reachable',
}

/** An expected refusal. `message` is one line for people: what was asked, the value, what is allowed, what to type next. */
export class Refusal extends Error {
  readonly kind: RefusalKind
  /** A further line for people at a terminal, where the first one is literal since 0.8: what was probably meant. */
  readonly hint: string | undefined

  constructor(kind: RefusalKind, message: string, options: ErrorOptions & { readonly hint?: string | undefined } = {}) {
    super(message, options)
    this.name = 'Refusal'
    this.kind = kind
    this.hint = options.hint
  }

  get exit(): number {
    return refusalKinds[this.kind].exit
  }

  /** HTTP status; 500 for kinds that exist on the command line only. */
  get status(): number {
    return refusalKinds[this.kind].http ?? 500
  }

  get tftpCode(): number {
    return refusalKinds[this.kind].tftp ?? 0
  }

  /** The refusal as RFC 9457 problem document. */
  toProblem(): Problem {
    return {
      type: 'about:blank',
      title: titles[this.kind],
      status: this.status,
      detail: this.message,
      code: this.kind,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
    }
  }
}
