/**
 * How a request that was not done is answered: an RFC 9457 problem document, whose `detail` is the line that the command
 * line prints. What is nobody's refusal is a bug: logged with its cause, answered without it. Source: CONTRACT "HTTP API".
 */
import { type Problem, Refusal, type RefusalKind } from '../domain/errors.ts'
import type { Log } from '../log.ts'
import type { HttpContext } from './env.ts'

export const problemType = 'application/problem+json'

/** Refusals that only HTTP knows, beside those of `domain/errors.ts`. */
const httpProblems = {
  'unsupported-media-type': { status: 415, title: 'Unsupported media type' },
  'method-not-allowed': { status: 405, title: 'Method not allowed' },
  internal: { status: 500, title: 'Internal error' },
} as const

export type HttpProblemCode = keyof typeof httpProblems

export interface HttpProblem extends Omit<Problem, 'code'> {
  code: RefusalKind | HttpProblemCode
}

export function httpProblem(code: HttpProblemCode, detail: string): HttpProblem {
  return { type: 'about:blank', title: httpProblems[code].title, status: httpProblems[code].status, detail, code }
}

/** The document as response; a 401 says which credentials are meant (RFC 9110 §11.6.1). */
export function problemResponse(problem: HttpProblem, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(`${JSON.stringify(problem)}\n`, {
    status: problem.status,
    headers: {
      'content-type': problemType,
      'cache-control': 'no-store',
      ...(problem.status === 401 ? { 'www-authenticate': 'Bearer realm="pxemngr"' } : {}),
      ...headers,
    },
  })
}

/** A problem as a page, for whoever reads pages; undefined: this caller gets the document. */
export type ProblemPage = (c: HttpContext, problem: HttpProblem) => Response | undefined

/** Whatever a handler threw → its answer. */
export function answerError(error: unknown, c: HttpContext, log: Log, page?: ProblemPage): Response {
  if (error instanceof Refusal) return answerProblem(error.toProblem(), c, page)
  log.error('a request failed', { method: c.req.method, path: c.req.path, error })
  return answerProblem(httpProblem('internal', 'the daemon failed at this request; its log says why'), c, page)
}

export function answerProblem(problem: HttpProblem, c: HttpContext, page?: ProblemPage): Response {
  return page?.(c, problem) ?? problemResponse(problem)
}
