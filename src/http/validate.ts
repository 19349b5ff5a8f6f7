/**
 * Arguments of a call against the command's schema: the value, or a refusal that names the key and what is allowed.
 *
 * A fault of form is wrong usage (exit status 2); whether a name or an address is a good one is the command's to say.
 */
import * as v from 'valibot'
import { quote } from '../domain/address.ts'
import { Refusal } from '../domain/errors.ts'

/** Parsed arguments; refuses (`usage`) unknown, missing and wrong ones. `command` stands in the message. */
export function validateArguments<S extends v.GenericSchema>(
  command: string,
  schema: S,
  value: Readonly<Record<string, unknown>>,
): v.InferOutput<S> {
  const result = v.safeParse(pickForm(schema, value), value, { abortEarly: true })
  if (result.success) return result.output
  const [issue] = result.issues
  throw new Refusal('usage', `${command}: ${describeIssue(issue)}`)
}

/** Of alternative forms the one that was meant, so that the message speaks of it: all of its keys given, else some. */
function pickForm(schema: v.GenericSchema, value: Readonly<Record<string, unknown>>): v.GenericSchema {
  if (!isUnion(schema)) return schema
  const given = (key: string) => Object.hasOwn(value, key)
  const whole = schema.options.find((option) => Object.keys(option.entries).every(given))
  const partly = schema.options.find((option) => Object.keys(option.entries).some(given))
  return whole ?? partly ?? schema.options[0] ?? schema
}

type Union = v.GenericSchema & { readonly options: readonly (v.GenericSchema & { readonly entries: object })[] }

function isUnion(schema: v.GenericSchema): schema is Union {
  return schema.type === 'union' && 'options' in schema
}

function describeIssue(issue: v.BaseIssue<unknown>): string {
  const path = (issue.path ?? []).map((item) => item.key as string | number)
  const key = path.map((part, at) => (typeof part === 'number' ? `[${part}]` : at === 0 ? part : `.${part}`)).join('')
  if (issue.kind === 'schema' && issue.type === 'strict_object') {
    if (issue.expected === 'never') return `there is no argument ${quote(key)}`
    if (issue.received === 'undefined') return `the argument ${quote(key)} is missing`
  }
  const [is, allowed] = wordsOf(issue)
  return `${quote(key)} ${is}, allowed is ${allowed}`
}

const typeWords: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  strict_object: 'an object',
  object: 'an object',
  record: 'an object',
  integer: 'a whole number',
}

/** What the value is, and what is allowed. */
function wordsOf({ type, received, expected, requirement, message }: v.BaseIssue<unknown>): [string, string] {
  const is = `is ${received === 'Array' ? 'a list' : received === 'Object' ? 'an object' : received}`
  switch (type) {
    case 'min_value':
      return [is, `${requirement} or more`]
    case 'max_value':
      return [is, `${requirement} or less`]
    case 'min_length':
      return [received === '0' ? 'is empty' : `has a length of ${received}`, `a length of ${requirement} or more`]
    case 'picklist':
    case 'union':
      return [is, (expected ?? 'another value').replace(/^\((.*)\)$/, '$1').replaceAll(' | ', ', ')]
    case 'regex':
      return [is, message] // words of the schema's own
    default:
      return [is, typeWords[type] ?? 'another form']
  }
}
