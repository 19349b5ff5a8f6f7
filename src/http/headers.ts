/**
 * The headers of pages and their assets: what a browser may do with them, and how long it may keep them.
 *
 * No inline script or style exists, so none is allowed: text that slips through as markup stays dead. Pages are never
 * stored (they are state, and may be a logged-in person's); assets carry their content's hash in their name and are kept
 * for good. Source: CSP Level 3, RFC 9110 §8.8.3 and §13.1.2 (ETag, If-None-Match), RFC 8246 (immutable), Permissions
 * Policy, issue "Machine URLs".
 */
import type { HttpContext } from './env.ts'

const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** A year: the longest that caches are asked to honour. */
const assetLifeSeconds = 31_536_000

/** For every answer that a browser may show. */
export const securityHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': contentSecurityPolicy,
  'x-content-type-options': 'nosniff',
  // The search field puts names of machines into the URL: nobody else's business.
  'referrer-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  // For browsers that do not know frame-ancestors.
  'x-frame-options': 'DENY',
}

/** A page, complete. `vary` because the same URL answers differently to who is logged in. */
export function htmlResponse(html: string, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
  // Bytes: a string is copied twice more on its way, 10 ms for a large matrix.
  return new Response(Buffer.from(html), {
    status,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      vary: 'cookie',
      ...securityHeaders,
      ...headers,
    },
  })
}

/** What a page offers for download: the same rows in another form. */
export function dataResponse(body: string, contentType: string, fileName: string): Response {
  return new Response(body, {
    headers: {
      'content-type': contentType,
      'content-disposition': `inline; filename="${fileName}"`,
      'cache-control': 'no-store',
      ...securityHeaders,
    },
  })
}

/** An asset whose URL holds the hash of its content; 304 where the browser has it. */
export function assetResponse(
  c: HttpContext,
  asset: { readonly bytes: Uint8Array<ArrayBuffer>; readonly type: string; readonly hash: string },
): Response {
  const etag = `"${asset.hash}"`
  const headers = {
    etag,
    'cache-control': `public, max-age=${assetLifeSeconds}, immutable`,
    ...securityHeaders,
  }
  const known = c.req.header('if-none-match')?.split(',') ?? []
  const has = known.some((each) => ['*', etag, `W/${etag}`].includes(each.trim()))
  if (has) return new Response(null, { status: 304, headers })
  return new Response(asset.bytes, {
    headers: { ...headers, 'content-type': asset.type, 'content-length': String(asset.bytes.length) },
  })
}
