import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { compileTemplate, isTemplate, TemplateFault } from '../../src/profiles/template.ts'

const render = (text: string, variables: Record<string, unknown> = {}) => compileTemplate(text).render(variables)

function fault(run: () => unknown): TemplateFault {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof TemplateFault, String(error))
    return error
  }
  throw new Error('nothing was thrown')
}

describe('a template', () => {
  it('sees the variables as names of its own, unescaped and untrimmed', () => {
    assert.equal(
      render('a <%= name %>\n\n <% if (n > 1) { %>\nb\n<% } %> \n', { name: "o'neil & <co>", n: 2 }),
      "a o'neil & <co>\n\n \nb\n \n",
    )
  })

  it('that does not end is stopped, and not begun again', () => {
    const endless = compileTemplate('a\n<% while (true) {} %>\n')
    const first = performance.now()
    assert.match(fault(() => endless.render({})).message, /not rendered within 2000 ms/)
    const again = performance.now()
    assert.ok(again - first < 8000)
    assert.match(fault(() => endless.render({})).message, /not rendered within/)
    assert.ok(performance.now() - again < 500, 'it is known now')
    assert.equal(render('<% for (let n = 0; n < 3; n++) { %>x<% } %>'), 'xxx')
  })

  it('values that look like tags stay text', () => {
    assert.equal(render('<%= name %>', { name: '<%= process.exit(1) %>' }), '<%= process.exit(1) %>')
  })

  it('if without braces means what JavaScript says', () => {
    assert.equal(render('<% if (false) %><%= 1 %>x'), 'x')
  })

  it('text outside tags comes back as it is, CR LF, quotes, backslashes and shell signs too', () => {
    const text =
      '#!/bin/sh\r\necho "$x" \u0024{y} \'a\\n\' `date` {{.Names}} \u0024{#a[@]} %> \u2028\n\r\n\ttrailing  \n\n'
    assert.equal(render(`${text}<%= 1 %>${text}`), `${text}1${text}`)
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', '\r', '\n', "'", '"', '\\', '`', '$', '{', '%', '>', '\v', '\f', 'é') }),
        (any) => {
          assert.equal(render(`${any}<%= 1 %>`), `${any}1`)
        },
      ),
    )
  })

  it('is told by its opening tag', () => {
    assert.equal(isTemplate(Buffer.from('append a<b 5%>3')), false)
    assert.equal(isTemplate(Buffer.from('a <%= mac %>')), true)
  })
})

describe('a template that is no good', () => {
  it('names the line of an unclosed tag or string', () => {
    assert.match(fault(() => compileTemplate('a\nb <%= mac\n')).message, /^line 2: unclosed tag/)
    assert.match(fault(() => compileTemplate("a\n\n<%= 'x %>")).message, /^line 3: unclosed string/)
  })

  it('names the line of code that is no JavaScript, in tags over several lines too', () => {
    assert.equal(fault(() => compileTemplate('a\nb\n<%= 1 + %>\n')).line, 3)
    assert.equal(fault(() => compileTemplate('a\n<% let x = 1\nlet y = = 2 %>\n')).line, 3)
    assert.ok(fault(() => compileTemplate('a\n<% if (true) { %>\nnever closed')).message.length > 0)
  })

  it('names a line of the file whatever surrounds the code: blank lines before it, a brace that is closed nowhere', () => {
    const lineOf = (text: string) => fault(() => compileTemplate(text)).line
    assert.equal(lineOf('a\n<%\n\nlet x = 1\nlet y = = 2\n%>\n'), 5)
    assert.equal(lineOf('a\n<%= 1 + %><%\nlet x = 1\n%>\n'), 2)
    assert.equal(lineOf('a\n<%= 1 %><% let y = = 2 %><%\nlet x = 1\n%>\n'), 2)
    assert.equal(lineOf('a\nb\n<%_\n  let y = = 2 %>\nc'), 4)
    assert.equal(lineOf('<% if ( %>'), 1)
    assert.equal(lineOf('a\nb <% if ( %>\n'), 2)
    assert.equal(lineOf('<% if (log) { %>\nx\n'), 1)
    assert.equal(lineOf('<% if (log) {\n  let x = 1 %>\nx\ny\nz\n'), 2)
    assert.equal(lineOf(`${'x\n'.repeat(9)}<% } %>\nx\n`), 10)
  })

  it('names the line of what throws while rendering', () => {
    const thrown = fault(() => render('a\nb\n<%= nosuch %>\n'))
    assert.equal(thrown.message, 'line 3: ReferenceError: nosuch is not defined')
    assert.match(fault(() => render("x\n<% throw new Error('no\\nway') %>")).message, /^line 2: Error: no$/)
    assert.match(fault(() => render('<%~ include("/etc/passwd") %>')).message, /^line 1: /)
  })
})
