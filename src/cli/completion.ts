/**
 * Completion: what can stand where the cursor is, and the scripts that ask for it from bash, zsh and fish.
 *
 * All the knowledge is here, taken from the definitions, so that the three scripts say nothing but how their shell is
 * told: they call `pxemngr completion --complete <words up to the cursor>` and get one candidate a line, with a tab and
 * its summary; the line `:files` stands for the names of files. Source: CONTRACT "Command line" (`completion`).
 */
import type { Form, NameKind, Option, Positional } from '../commands/definition.ts'
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
  /**
   * What there is on the daemon; empty where there is none. `global` holds the daemon that the words name, `given` the
   * arguments before the one that is being typed.
   */
  names(
    kind: NameKind,
    global: Readonly<Record<string, string>>,
    given: readonly string[],
  ): Promise<readonly Candidate[]>
  /** The flags of `serve`. */
  flags(): Promise<readonly Option[]>
}

/** `words`: what stands behind the program's name up to the cursor; the last one is what is being typed, maybe empty. */
export async function complete(words: readonly string[], sources: Sources): Promise<Candidate[]> {
  const typing = words.at(-1) ?? ''
  const all = await candidates(words.slice(0, -1), typing, sources)
  return all.filter(({ text }) => text === filesMark || text.startsWith(typing))
}

async function candidates(before: readonly string[], typing: string, sources: Sources): Promise<readonly Candidate[]> {
  const { form, group, positionals, option, global, ended } = await read(before, sources)
  const live = async (kinds: readonly NameKind[] = []) =>
    (await Promise.all(kinds.map((kind) => sources.names(kind, global, positionals)))).flat()
  if (option?.value !== undefined) return [...optionValues(option), ...(await live(option.complete))]
  const options = await optionsOf(form, sources)
  if (typing.startsWith('-') && !ended) {
    return options.map(({ name, summary }) => ({ text: `--${name}`, summary }))
  }
  if (!form) return commandWords(sources.forms, group)
  return positionalValues(form, positionals, live, sources)
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

function optionValues({ value, words = [] }: Option): Candidate[] {
  if (/FILE|PATH|DIR/.test(value ?? '')) return [{ text: filesMark }]
  return words.map((text) => ({ text }))
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
  live: (kinds: readonly NameKind[]) => Promise<readonly Candidate[]>,
  sources: Sources,
): Promise<readonly Candidate[]> {
  if (form.name === 'help') return commandWords(sources.forms, given[0])
  const last = form.positionals.at(-1)
  const place: Positional | undefined = form.positionals[given.length] ?? (last?.variadic ? last : undefined)
  if (!place) return []
  if (place.complete === 'file') return [{ text: filesMark }]
  if (place.complete !== undefined) return live(place.complete)
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
  local line=\${COMP_LINE:0:COMP_POINT} word head words=()
  # Bash parts words at some signs, of which names are full: put them together again, and answer for the last part.
  for word in "\${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
    if [[ \${#words[@]} == 0 || $line == [[:space:]]* ]]; then
      line=\${line#"\${line%%[![:space:]]*}"}
      words+=("$word")
    else
      words[-1]+=$word
    fi
    line=\${line:\${#word}}
  done
  word=\${words[-1]}
  head=\${word%"\${word##*[@:=]}"}
  [[ $COMP_WORDBREAKS == *[@:=]* ]] || head=
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == ${filesMark} ]]; then
      compopt -o default
    else
      line=\${line%%$'\\t'*}
      COMPREPLY+=("$(printf '%q' "\${line#"$head"}")")
    fi
  done < <("\${COMP_WORDS[0]}" completion --complete "\${words[@]:1}" 2>/dev/null)
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
