/**
 * SVG badges of a system, test or version for other people's pages: a label and the worst verdict of the latest results.
 *
 * Served as images: no script, no outside resource, every text escaped, colour and word together. The colours are those
 * of the light theme, readable on white and on dark alike. Source: WEB.md "Look".
 */
import { type Verdict, verdicts } from '../../domain/verdict.ts'

/** Filled background behind white text; each at least 4.5:1 (WCAG 2 AA). */
const fills: Readonly<Record<Verdict | 'none', string>> = {
  fail: '#b3102a',
  lost: '#59616b',
  infra: '#6a3fb5',
  warn: '#855600',
  pass: '#1d7a3e',
  skip: '#59616b',
  none: '#59616b',
}

/** Width of a character of 11 px DejaVu Sans or Verdana, on average; text is squeezed into what is reserved. */
const charWidth = 7
const padding = 8
/** A longer label is cut: a badge is a word. */
const labelMax = 60

export interface Badge {
  readonly label: string
  readonly verdict: Verdict | undefined
  /** Beside the verdict, such as how many. */
  readonly detail: string
}

export function renderBadge({ label, verdict, detail }: Badge): string {
  const name = label.length > labelMax ? `${label.slice(0, labelMax - 1)}…` : label
  const word =
    verdict === undefined ? 'no result' : `${verdicts[verdict].glyph} ${verdict}${detail === '' ? '' : ` ${detail}`}`
  const left = textWidth(name)
  const right = textWidth(word)
  const width = left + right
  const text = (content: string, x: number, length: number) =>
    `<text x="${x}" y="14" textLength="${length - 2 * padding}" lengthAdjust="spacingAndGlyphs">${escapeXml(content)}</text>`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="20" role="img" aria-label="${escapeXml(`${name}: ${word}`)}">`,
    `<title>${escapeXml(`${name}: ${word}`)}</title>`,
    `<rect width="${left}" height="20" fill="#3a4149"/><rect x="${left}" width="${right}" height="20" fill="${fills[verdict ?? 'none']}"/>`,
    `<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">`,
    text(name, padding, left),
    text(word, left + padding, right),
    '</g></svg>\n',
  ].join('')
}

function textWidth(text: string): number {
  return [...text].length * charWidth + 2 * padding
}

/** Control characters have no place in XML 1.0 (§2.2). */
function escapeXml(text: string): string {
  return text
    .replace(/[\u0000-\u001f\u007f-\u009f\ufffe\uffff]/g, '\ufffd')
    .replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}
