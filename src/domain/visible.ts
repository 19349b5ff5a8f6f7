/**
 * Text of machines and people made visible: what would steer a terminal, reorder a line or not be seen at all gets a sign
 * of its own, `␛` or `‹U+202E›`. Source: Unicode, Control Pictures (U+2400), UAX #9 for what changes the direction.
 */

/**
 * Control characters, line separators and what silently changes the direction or is not seen at all. Joiners inside words
 * (U+200C, U+200D) are text of real languages and stay.
 */
export const unseen =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g

/** What would steer a terminal or end the line, all but the tab, which parts columns. */
export const lineControls = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g

/** Each character that `which` (global) matches as its sign. */
export function showSigns(text: string, which: RegExp): string {
  return text.replace(which, (char) => {
    const code = char.charCodeAt(0)
    if (code < 0x20) return String.fromCharCode(0x2400 + code)
    if (code === 0x7f) return '␡'
    return `‹U+${code.toString(16).toUpperCase().padStart(4, '0')}›`
  })
}

/** What cannot be seen or turns the line around as its sign. */
export function visible(text: string): string {
  return showSigns(text, unseen)
}
