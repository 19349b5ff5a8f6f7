/**
 * The TOML reader alone. Imported when there is a file to read: a client without one pays for nothing, and the writer of
 * the same package stays out of the executable.
 */
export { parse, TomlError } from 'smol-toml'
