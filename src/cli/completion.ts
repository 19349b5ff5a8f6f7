/**
 * Completion: what can stand where the cursor is, and the scripts that ask for it from bash, zsh and fish.
 *
 * All the knowledge is here, taken from the definitions, so that the three scripts say nothing but how their shell is
 * told: they call `pxemngr completion --complete <words up to the cursor>` and get one candidate a line, with a tab and
 * its summary; the line `:files` stands for the names of files. Source: CONTRACT "Command line" (`completion`).
 */
import type { Form, Option, Positional } from '../commands/definition.ts'
import { Refusal } from '../domain/errors.ts'
import { commonOptions, globalOptions } from './arguments.ts'

/** What a script shows where a file name fits. */
export const filesMark = ':files'

export interface Candidate {
  readonly text: string
  readonly summary?: string
}

export interface Sources {
  readonly forms: readonly Form[]
  /** Live names asked from the daemon; empty where there is none. `global` holds the daemon that the words name. */
  names(kind: 'system' | 'profile' | 'test', global: Readonly<Record<string, string>>): Promise<readonly string[]>
  /** The flags of `serve`, with the words each takes. */
  flags(): Promise<readonly (Option & { readonly words: readonly string[] })[]>
}

/** `words`: what stands behind the program's name up to the cursor; the last one is what is being typed, maybe empty. */
export async function complete(words: readonly string[], sources: Sources): Promise<Candidate[]> {
  const typing = words.at(-1) ?? ''
  const all = await candidates(words.slice(0, -1), typing, sources)
  return all.filter(({ text }) => text === filesMark || text.startsWith(typing))
}

async function candidates(before: readonly string[], typing: string, sources: Sources): Promise<Candidate[]> {
  const { form, group, positionals, option, global, ended } = await read(before, sources)
  if (option?.value !== undefined) return optionValues(option, form, sources)
  const options = await optionsOf(form, sources)
  if (typing.startsWith('-') && !ended) {
    return options.map(({ name, summary }) => ({ text: `--${name}`, summary }))
  }
  if (!form) return commandWords(sources.forms, group)
  return positionalValues(form, positionals, global, sources)
}

interface SoFar {
  readonly form: Form | undefined
  /** First word of a command of two. */
  readonly group: string | undefined
  readonly positionals: readonly string[]
  /** The option whose value comes next. */
  readonly option: Option | undefined
  readonly global: Readonly<Record<string, string>>
  /** `--` has been typed. */
  readonly ended: boolean
}

async function read(words: readonly string[], sources: Sources): Promise<SoFar> {
  const global: Record<string, string> = {}
  const positionals: string[] = []
  let form: Form | undefined
  let group: string | undefined
  let option: Option | undefined
  let ended = false
  for (const word of words) {
    if (option?.value !== undefined) {
      global[option.name] = word
      option = undefined
    } else if (word === '--') ended = true
    else if (word.startsWith('-') && !ended) {
      const known = await optionsOf(form, sources)
      option = known.find(({ name, short }) => word === `--${name}` || word === `-${short}`)
      if (option?.value === undefined) option = undefined
    } else if (form) positionals.push(word)
    else {
      const name = group === undefined ? word : `${group} ${word}`
      form = sources.forms.find((each) => each.name === name)
      if (!form) group = word
    }
  }
  return { form, group, positionals, option, global, ended }
}

async function optionsOf(form: Form | undefined, sources: Sources): Promise<readonly Option[]> {
  if (form?.name === 'serve') return sources.flags()
  return form ? [...form.options, ...commonOptions(form)] : [...globalOptions]
}

async function optionValues(option: Option, form: Form | undefined, sources: Sources): Promise<Candidate[]> {
  if (/FILE|PATH|DIR/.test(option.value ?? '')) return [{ text: filesMark }]
  const flag = (await sources.flags()).find(({ name }) => name === option.name)
  return (flag?.words ?? choices(form, option.name)).map((text) => ({ text }))
}

/** As far as completion looks into the schema of a command's arguments. */
interface Schema {
  readonly entries?: Readonly<Record<string, Schema>>
  /** Of an optional value, of a list. */
  readonly wrapped?: Schema
  readonly item?: Schema
  /** Of a choice. */
  readonly options?: readonly string[]
}

/** The words that an option's schema allows, where it is a choice or a list of such. */
function choices(form: Form | undefined, name: string): readonly string[] {
  let schema = (form as { readonly args?: Schema } | undefined)?.args?.entries?.[name]
  while (schema && !schema.options) schema = schema.wrapped ?? schema.item
  return schema?.options ?? []
}

function commandWords(forms: readonly Form[], group: string | undefined): Candidate[] {
  const found = new Map<string, Candidate>()
  for (const { name, summary } of forms) {
    const [first = '', second] = name.split(' ')
    if (group === undefined) found.set(first, second === undefined ? { text: first, summary } : { text: first })
    else if (first === group && second !== undefined) found.set(second, { text: second, summary })
  }
  return [...found.values()]
}

async function positionalValues(
  form: Form,
  given: readonly string[],
  global: Readonly<Record<string, string>>,
  sources: Sources,
): Promise<Candidate[]> {
  if (form.name === 'help') return commandWords(sources.forms, given[0])
  const last = form.positionals.at(-1)
  const place: Positional | undefined = form.positionals[given.length] ?? (last?.variadic ? last : undefined)
  if (!place) return []
  if (place.complete === 'file') return [{ text: filesMark }]
  if (place.complete !== undefined) {
    return (await sources.names(place.complete, global)).map((text) => ({ text }))
  }
  // A choice written into the usage, such as `<bash|zsh|fish>`.
  const choice = /^<([a-z0-9]+(?:\|[a-z0-9]+)+)>$/.exec(place.usage)?.[1]
  return (choice?.split('|') ?? []).map((text) => ({ text }))
}

/** Script for a shell. Refuses (`usage`) other shells. */
export function completionScript(shell: string): string {
  const script = Object.hasOwn(scripts, shell) ? scripts[shell] : undefined
  if (script !== undefined) return script
  throw new Refusal('usage', `completion is there for ${Object.keys(scripts).join(', ')}`)
}

const scripts: Readonly<Record<string, string>> = {
  bash: `# bash completion of pxemngr
_pxemngr() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == ${filesMark} ]]; then
      compopt -o default
    else
      COMPREPLY+=("$(printf '%q' "\${line%%$'\\t'*}")")
    fi
  done < <("\${COMP_WORDS[0]}" completion --complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _pxemngr pxemngr
`,
  zsh: `#compdef pxemngr
# zsh completion of pxemngr
_pxemngr() {
  local line
  local -a found
  while IFS= read -r line; do
    if [[ $line == ${filesMark} ]]; then
      _files
    else
      found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
    fi
  done < <("\${words[1]}" completion --complete "\${(@)words[2,CURRENT]}" 2>/dev/null)
  (( \${#found} )) && _describe 'pxemngr' found
}
if [[ \${funcstack[1]} == _pxemngr ]]; then
  _pxemngr "$@"
else
  compdef _pxemngr pxemngr
fi
`,
  fish: `# fish completion of pxemngr
function __pxemngr_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] completion --complete $words[2..-1] 2>/dev/null)
        if test "$line" = ${filesMark}
            __fish_complete_path (commandline -ct)
        else
            printf '%s\\n' $line
        end
    end
end
complete -c pxemngr -f -a '(__pxemngr_complete)'
`,
}
