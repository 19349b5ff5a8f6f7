/*
 * What the pages gain where a browser runs scripts; all of them work without it.
 *
 * Live: the event stream says that something changed; the page then fetches itself and swaps the parts (`data-live`) whose
 * text differs, in place. Nothing is inserted or moved: rows that came or went are announced by a bar to click. Filters
 * (`data-filter`) act while one types. Keys: see the list in `keys`. Copy: a click on what has `data-copy`. Ages of `<time>` go on counting.
 */
'use strict'
;(() => {
  /** Longest that a burst of changes is gathered before the page is fetched. */
  const gatherMs = 400
  /** As above, of boots, which change all the time in a large lab. */
  const gatherBootsMs = 2000
  /** Ages are brought up to date this often. */
  const ageMs = 10_000
  const copiedMs = 1_200
  /** A filter acts when nothing has been typed for this long. */
  const typingMs = 200

  const main = document.getElementById('main')
  const bar = document.getElementById('live')
  document.documentElement.classList.add('scripted')

  // Live

  const parts = (root, kinds) =>
    new Map(
      kinds.flatMap((kind) => [...root.querySelectorAll(`[data-${kind}]`)].map((part) => [part.dataset[kind], part])),
    )
  const rowsOf = (map) => [...map.keys()].filter((key) => /^(system|boot)-/.test(key))
  /** Text and links decide whether a part differs; ages alone do not, they are counted here. */
  const essence = (part) => {
    const copy = part.cloneNode(true)
    for (const time of copy.querySelectorAll('time')) time.textContent = ''
    for (const details of copy.querySelectorAll('details')) details.removeAttribute('open')
    for (const mark of copy.querySelectorAll('[data-copied]')) mark.removeAttribute('data-copied')
    return copy.innerHTML
  }

  let gathering
  let gatheredAt = 0
  let fetching = false
  let again = false
  /** Whether the parts that change only at the end (`data-end`) are to be swapped too. */
  let ended = false

  const refresh = async () => {
    gathering = undefined
    if (fetching) {
      again = true
      return
    }
    fetching = true
    try {
      const url = new URL(location.href)
      url.hash = ''
      url.searchParams.set('fragment', '')
      const whole = ended
      // A log is not fetched again and again: its lines come by its own stream.
      if (!whole && logOf()) url.searchParams.set('log', 'off')
      if (whole && !url.searchParams.has('from')) url.searchParams.set('from', 'end')
      const asked = location.href
      const answer = await fetch(url, { headers: { accept: 'text/html' }, cache: 'no-store' })
      const text = await answer.text()
      // A filter was typed meanwhile: what came is another list.
      if (location.href !== asked) again = true
      else if (answer.ok) {
        if (whole) ended = false
        entitle(answer)
        swap(text, whole ? ['live', 'end'] : ['live'])
      }
    } catch {
      // The server is away: the event stream comes back by itself, and the page is fetched then.
    } finally {
      fetching = false
      if (again) {
        again = false
        gather()
      }
    }
  }
  const gather = (ms = gatherMs) => {
    const at = Date.now() + ms
    if (document.hidden || (gathering !== undefined && gatheredAt <= at)) return
    clearTimeout(gathering)
    gatheredAt = at
    gathering = setTimeout(refresh, ms)
  }
  /** A machine that goes on saying nothing changes the page too: the server says when. */
  let due
  const expect = (ms) => {
    clearTimeout(due)
    if (ms) due = setTimeout(gather, Number(ms))
  }

  /** Takes the name of the page as the tab shows it. */
  const entitle = (answer) => {
    const title = answer.headers.get('x-page-title')
    if (title) document.title = `${decodeURIComponent(title)} · pxemngr`
    const icon = answer.headers.get('x-page-icon')
    if (icon) document.querySelector('link[rel="icon"]').href = icon
    expect(answer.headers.get('x-page-due'))
  }

  const swap = (html, kinds) => {
    const fresh = new DOMParser().parseFromString(`<main>${html}</main>`, 'text/html')
    const now = parts(main, kinds)
    const then = parts(fresh, kinds)
    for (const [key, part] of now) {
      const next = then.get(key)
      if (!next || essence(next) === essence(part)) continue
      // What a person is typing in or has selected stays until it is let go.
      if (part.contains(document.activeElement) && document.activeElement.matches('input, select')) continue
      const open = [...part.querySelectorAll('details')].map((details) => details.open)
      const focused = [...part.querySelectorAll('a, button, summary')].indexOf(document.activeElement)
      const box = part.querySelector('[data-log]')
      const place = box && { top: box.scrollTop, end: isAtEnd(box) }
      part.className = next.className
      part.replaceChildren(...next.childNodes)
      const log = place && part.querySelector('[data-log]')
      if (log) log.scrollTop = place.end ? log.scrollHeight : place.top
      part.querySelectorAll('details').forEach((details, at) => {
        if (open[at] !== undefined) details.open = open[at]
      })
      if (focused >= 0) part.querySelectorAll('a, button, summary')[focused]?.focus({ preventScroll: true })
      part.classList.remove('fresh')
      void part.offsetWidth
      part.classList.add('fresh')
    }
    announce(rowsOf(now), rowsOf(then))
  }

  const announce = (now, then) => {
    const came = then.filter((key) => !now.includes(key)).length
    const went = now.filter((key) => !then.includes(key)).length
    if (came + went === 0) {
      bar.replaceChildren()
      return
    }
    const link = document.createElement('a')
    link.href = location.href
    const words = [...(came > 0 ? [`${came} new`] : []), ...(went > 0 ? [`${went} gone`] : [])]
    link.textContent = `${words.join(', ')}: show`
    link.addEventListener('click', (event) => {
      event.preventDefault()
      location.reload()
    })
    bar.replaceChildren(link)
  }

  /** The last record that this page knows of; the stream resumes behind it. */
  let seq = document.body.dataset.seq
  /** Whether the page shows boots of one of these; it names whose it shows, or nobody where it shows all. */
  const isShown = ({ systems, addresses }) => {
    const shown = document.body.dataset.boots
    if (shown === '' || !systems) return true
    const own = shown.split(' ')
    return [...systems.map(String), ...addresses].some((each) => own.includes(each))
  }
  let events
  const follow = () => {
    events?.close()
    const boots = document.body.dataset.boots === undefined ? '' : '&boots'
    events = new EventSource(`/api/v1/events?after=${seq}${boots}`)
    const changed = (event) => {
      if (event.lastEventId !== '') seq = event.lastEventId
      gather()
    }
    events.addEventListener('record', changed)
    events.addEventListener('reset', changed)
    events.addEventListener('boots', (event) => {
      if (isShown(JSON.parse(event.data))) gather(gatherBootsMs)
    })
    let lost = false
    events.addEventListener('error', () => {
      lost = true
    })
    events.addEventListener('open', () => {
      if (!lost) return
      lost = false
      // The server may be another version now: a screen on the wall takes all of it.
      if (document.body.classList.contains('wall')) location.reload()
      else gather()
    })
  }
  if (seq !== undefined && window.EventSource) {
    expect(document.body.dataset.due)
    if (!document.hidden) follow()
    // Browsers allow a server six connections in all: a page that nobody sees holds none.
    document.addEventListener('visibilitychange', () => {
      events?.close()
      if (document.hidden) return
      follow()
      gather()
    })
    addEventListener('pagehide', () => events?.close())
    addEventListener('pageshow', (event) => {
      if (event.persisted) follow()
    })
  }

  // Filters: while one types the list is fetched anew and the URL goes with it; the field itself stays where it is

  /** The page that the form asks for. `words`: this page with other words; else what the fields say, empty ones left out. */
  const urlOfFilter = (form) => {
    const url = new URL(form.dataset.filter === 'words' ? location.href : form.action)
    const fields = [...new FormData(form)].filter(([name]) => form.dataset.filter !== 'words' || name === 'q')
    if (form.dataset.filter !== 'words') url.search = ''
    url.searchParams.delete('page')
    for (const [name, value] of fields) {
      if (value === '') url.searchParams.delete(name)
      else url.searchParams.set(name, value)
    }
    url.hash = location.hash
    return url
  }
  /** Whether the form filters this page; the field above leads to another one from most pages. */
  const filtersHere = (form) => main.contains(form) || new URL(form.action).pathname === location.pathname
  /** Puts `next` in the place of `now`, around the form that is being typed in: it stays the same element. */
  const replaceAround = (now, next, form) => {
    const field = form.querySelector('[id]').id
    const kept = [...now.children].find((child) => child.contains(form))
    const like = [...next.children].find((child) => child.querySelector(`[id="${field}"]`))
    if (!kept || !like) {
      now.replaceChildren(...next.childNodes)
      return
    }
    while (kept.previousSibling) kept.previousSibling.remove()
    while (kept.nextSibling) kept.nextSibling.remove()
    while (like.previousSibling) now.prepend(like.previousSibling)
    while (like.nextSibling) now.append(like.nextSibling)
    if (kept !== form) replaceAround(kept, like, form)
    else {
      // Its links lead to other views of what is listed now.
      for (const link of kept.querySelectorAll(':scope > a')) link.remove()
      kept.append(...like.querySelectorAll(':scope > a'))
    }
  }
  /** What else has been typed or opened on the page. */
  const keepTyped = () => {
    const typed = [...main.querySelectorAll('input[id], select[id]')].map(({ id, value }) => [id, value])
    const opened = [...main.querySelectorAll('details')].map(({ open }) => open)
    return () => {
      for (const [id, value] of typed) {
        const field = document.getElementById(id)
        if (field && field.value !== value) field.value = value
      }
      const details = [...main.querySelectorAll('details')]
      if (details.length === opened.length) for (const [at, open] of opened.entries()) details[at].open = open
    }
  }
  const said = document.createElement('div')
  said.className = 'hidden'
  said.setAttribute('role', 'status')
  document.body.append(said)
  let filtering
  let filterFetch
  const filter = async (form) => {
    const url = urlOfFilter(form)
    // What was typed before and is still under way is not wanted any more, also where nothing else has to be fetched.
    filterFetch?.abort()
    if (url.href === location.href) return
    filterFetch = new AbortController()
    const { signal } = filterFetch
    const asked = new URL(url)
    asked.hash = ''
    asked.searchParams.set('fragment', '')
    try {
      const answer = await fetch(asked, { headers: { accept: 'text/html' }, cache: 'no-store', signal })
      const text = await answer.text()
      if (!answer.ok || signal.aborted) return
      history.replaceState(history.state, '', url)
      const fresh = new DOMParser().parseFromString(`<main>${text}</main>`, 'text/html').querySelector('main')
      const restore = keepTyped()
      const top = form.getBoundingClientRect().top
      replaceAround(main, fresh, form)
      restore()
      if (main.contains(form)) scrollBy(0, form.getBoundingClientRect().top - top)
      bar.replaceChildren()
      entitle(answer)
      const count = main.querySelectorAll('[data-rows] tbody tr:not(.group), .grid tbody tr:not(.group)').length
      said.textContent = count === 1 ? '1 row' : `${count} rows`
    } catch {
      // Typed on, or the server is away: Enter asks as without scripts.
    }
  }
  const filterSoon = ({ target, type }) => {
    const form = target.form
    if (form?.dataset.filter === undefined || !filtersHere(form)) return
    if (type === 'change' && (form.dataset.filter === 'words' || !target.matches('select'))) return
    clearTimeout(filtering)
    filtering = setTimeout(() => filter(form), type === 'input' && target.matches('input') ? typingMs : 0)
  }
  document.addEventListener('input', (event) => {
    if (event.target.matches('input[name="q"]') && !event.isComposing) filterSoon(event)
  })
  document.addEventListener('compositionend', ({ target }) => filterSoon({ target, type: 'input' }))
  document.addEventListener('change', filterSoon)

  // Logs: kinds of lines shown and hidden at once, and the lines of a running test as they come

  /** Lines that a page holds of a log that goes on; the oldest make room. */
  const linesMax = 5_000
  /** Within this of its end a log follows what comes. */
  const nearEndPx = 48

  const isAtEnd = (log) => log.scrollHeight - log.scrollTop - log.clientHeight < nearEndPx
  const logOf = () => main.querySelector('[data-log][data-show]')
  const toggles = () => [...main.querySelectorAll('[data-toggle]')]
  const kindOf = (letter) =>
    main.querySelector(`[data-toggle="${letter}"] [data-count]`)?.dataset.count
  const urlOfShow = (show) => {
    const url = new URL(location.href)
    url.hash = ''
    url.searchParams.delete('from')
    if (show === '') url.searchParams.delete('show')
    else url.searchParams.set('show', show)
    return url.href
  }
  const showKinds = (log, show) => {
    log.dataset.show = show
    const shown = [...show].map((letter) => `line-${kindOf(letter)}`)
    for (const line of log.children) line.hidden = show !== '' && !shown.includes(line.className)
    const letters = toggles().map((link) => link.dataset.toggle)
    for (const link of toggles()) {
      const own = link.dataset.toggle
      const on = own === '' ? show === '' : show.includes(own)
      if (on) link.setAttribute('aria-current', 'true')
      else link.removeAttribute('aria-current')
      link.href = urlOfShow(own === '' ? '' : letters.filter((each) => each !== '' && show.includes(each) !== (each === own)).join(''))
    }
  }
  main.addEventListener('click', (event) => {
    const link = event.target.closest?.('[data-toggle]')
    const log = logOf()
    // Where not every line is here the server filters: then it is a link like any other.
    if (!link || log?.dataset.whole === undefined || event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    const show = new URL(link.href).searchParams.get('show') ?? ''
    history.pushState(null, '', urlOfShow(show))
    showKinds(log, show)
  })
  addEventListener('popstate', () => {
    const log = logOf()
    if (log?.dataset.whole !== undefined) showKinds(log, new URL(location.href).searchParams.get('show') ?? '')
  })

  const countUp = (kind, by) => {
    for (const each of main.querySelectorAll(`[data-count="${kind}"]`)) {
      const count = Number(each.textContent.replace(/\D/g, '')) + by
      each.textContent = String(count).replace(/\B(?=(\d{3})+$)/g, ',')
    }
  }
  const lineElement = ({ number, kind, text }, hidden) => {
    const line = document.createElement('li')
    line.id = `L${number}`
    if (kind !== '') line.className = `line-${kind}`
    line.hidden = hidden
    const anchor = document.createElement('a')
    anchor.href = `#L${number}`
    anchor.textContent = number
    const words = document.createElement('span')
    words.textContent = text
    line.append(anchor, words)
    return line
  }
  let tail
  const followLog = () => {
    tail?.close()
    tail = undefined
    const log = logOf()
    if (log?.dataset.tail === undefined || document.hidden) return
    let last = Number(log.dataset.after.split(':')[1])
    tail = new EventSource(`${log.dataset.tail}?after=${log.dataset.after}`)
    const own = tail
    own.addEventListener('lines', (event) => {
      // What came twice, because a connection broke in the middle of a burst, is here already.
      const lines = JSON.parse(event.data).filter(({ number }) => number > last)
      log.dataset.after = event.lastEventId
      if (lines.length === 0) return
      last = lines.at(-1).number
      const pinned = isAtEnd(log)
      const shown = [...log.dataset.show].map(kindOf)
      log.append(...lines.map((line) => lineElement(line, shown.length > 0 && !shown.includes(line.kind))))
      for (const { kind } of lines) if (kind !== '') countUp(kind, 1)
      main.querySelector('[data-nothing]')?.remove()
      if (log.childElementCount > linesMax) {
        delete log.dataset.whole
        while (log.childElementCount > linesMax) log.firstElementChild.remove()
      }
      if (pinned) log.scrollTop = log.scrollHeight
    })
    own.addEventListener('end', () => {
      own.close()
      delete log.dataset.tail
      ended = true
      gather()
    })
  }
  const log = logOf()
  if (log?.dataset.tail !== undefined && window.EventSource) {
    log.scrollTop = log.scrollHeight
    followLog()
    document.addEventListener('visibilitychange', followLog)
    addEventListener('pagehide', () => tail?.close())
    addEventListener('pageshow', (event) => {
      if (event.persisted) followLog()
    })
  }

  // Ages, in the words of the server (src/http/pages/words.ts)

  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1000],
  ]
  /** What this machine's clock is ahead of the server's. */
  const aheadMs = Date.now() - Number(document.body.dataset.now)
  setInterval(() => {
    if (document.hidden) return
    for (const time of document.querySelectorAll('main time:not([data-offset])')) {
      const past = Date.now() - aheadMs - Date.parse(time.dateTime)
      if (!(past >= 1000)) continue
      const [name, ms] = units.find(([, each]) => past >= each)
      const text = `${Math.floor(past / ms)} ${name} ago`
      if (time.textContent !== text) time.textContent = text
    }
  }, ageMs)

  // Copy

  const copy = async (element) => {
    try {
      await navigator.clipboard.writeText(element.dataset.copy)
    } catch {
      // Without a secure context there is no clipboard: the text is selected, ready for the keys people know.
      getSelection().selectAllChildren(element)
      return
    }
    element.dataset.copied = ''
    setTimeout(() => element.removeAttribute('data-copied'), copiedMs)
  }
  document.addEventListener('click', (event) => {
    const element = event.target.closest?.('[data-copy]')
    if (element && String(getSelection()) === '') copy(element)
  })

  // Keys

  const keys = [
    ['/', 'find'],
    ['j', 'next row'],
    ['k', 'row before'],
    ['Enter', 'open the row'],
    ['c', 'copy its first address'],
    ['n', 'next error of a log'],
    ['?', 'these keys'],
  ]
  const rows = () => [...document.querySelectorAll('[data-rows] tbody tr')]
  let current
  const mark = (row) => {
    if (!row) return
    current?.classList.remove('current')
    current = row
    row.classList.add('current')
    // What a click on the row opens is not always its first link.
    const link = row.querySelector('a.whole') ?? row.querySelector('a')
    link?.focus({ preventScroll: true })
    row.scrollIntoView({ block: 'nearest' })
  }
  const step = (by) => {
    const all = rows()
    const at = all.indexOf(current)
    mark(at < 0 ? all[by > 0 ? 0 : all.length - 1] : all[at + by])
  }
  /** Of the marked row, or of the page; a row that the list no longer has is not marked any more. */
  const copyFirst = () => {
    const row = current?.isConnected ? current : main
    const element = row.querySelector('[data-copy]') ?? main.querySelector('[data-copy]')
    if (element) copy(element)
  }
  let error
  const nextError = () => {
    const all = [...document.querySelectorAll('[data-log] .line-error:not([hidden])')]
    const target = document.querySelector('[data-log] .line-error:target')
    const next = all[all.indexOf(error?.isConnected ? error : target) + 1]
    const further = document.querySelector('[data-next-error]')
    if (!next && further) location.href = further.href
    error = next ?? all[0]
    error?.querySelector('a').focus({ preventScroll: true })
    error?.scrollIntoView({ block: 'center' })
  }
  const showKeys = () => {
    const dialog = document.createElement('dialog')
    dialog.setAttribute('aria-label', 'Keys')
    const list = document.createElement('dl')
    for (const [key, text] of keys) {
      const term = document.createElement('dt')
      const name = document.createElement('kbd')
      name.textContent = key
      term.append(name)
      const meaning = document.createElement('dd')
      meaning.textContent = text
      list.append(term, meaning)
    }
    const close = document.createElement('button')
    close.textContent = 'Close'
    close.addEventListener('click', () => dialog.close())
    dialog.append(list, close)
    dialog.addEventListener('close', () => dialog.remove())
    document.body.append(dialog)
    dialog.showModal()
  }
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog')) return
    const typing = event.target.matches('input, select, textarea')
    if (event.key === 'Escape' && typing) event.target.blur()
    if (typing) return
    const actions = {
      '/': () => document.getElementById('q')?.select(),
      j: () => step(1),
      k: () => step(-1),
      c: copyFirst,
      n: nextError,
      '?': showKeys,
    }
    const action = actions[event.key]
    if (!action) return
    event.preventDefault()
    action()
  })
})()
