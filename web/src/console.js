// The console's small behaviours; islands (charts, bus monitor) are loaded by the pages that have them.
import { openFinder } from './finder.js'
import { listen } from './live.js'

const root = document.documentElement
const each = (selector, act, within = document) => within.querySelectorAll(selector).forEach(act)

function chooseTheme() {
  const next = root.dataset.bsTheme === 'dark' ? 'light' : 'dark'
  root.dataset.theme = root.dataset.bsTheme = next
  document.cookie = `theme=${next}; path=/; max-age=31536000; samesite=lax`
}

function toggleNav(button) {
  const open = document.getElementById('nav').classList.toggle('show')
  button.setAttribute('aria-expanded', open)
}

// Without HTTPS a browser has no clipboard for us: then the text beside the button is selected, for Ctrl-C.
async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.text)
    if (button.dataset.copied) button.textContent = button.dataset.copied
  } catch {
    const text = button.parentElement.querySelector('code')
    if (text) getSelection().selectAllChildren(text)
  }
}

document.addEventListener('click', event => {
  const button = event.target.closest('[data-act]')
  if (button?.dataset.act === 'theme') chooseTheme()
  if (button?.dataset.act === 'nav') toggleNav(button)
  if (button?.dataset.act === 'copy') copy(button)
  if (button?.dataset.act === 'print') print()
  if (button?.dataset.act === 'tick-all') each('tbody input[type=checkbox]', box => { box.checked = button.checked }, button.closest('table'))
  if (button?.dataset.act === 'find' && !event.ctrlKey && !event.metaKey && !event.shiftKey && openFinder()) event.preventDefault()
  const row = event.target.closest('tr[data-href]')
  if (row && !event.target.closest('a, button, input, label, summary') && !getSelection().toString()) location = row.dataset.href
  each('details.menu[open]', menu => { if (!menu.contains(event.target)) menu.open = false })
})

document.addEventListener('keydown', event => {
  const typing = event.target.closest('input, textarea, select')
  if (event.key === 'k' && (event.ctrlKey || event.metaKey) && openFinder()) event.preventDefault()
  if (event.key === '/' && !typing) {
    const search = document.getElementById('search')
    if (search) { event.preventDefault(); search.focus(); search.select() }
  }
  if (event.key === 'Escape') each('details.menu[open]', menu => { menu.open = false })
  if (!event.ctrlKey && !event.metaKey && !event.altKey && (!typing || typing.type === 'checkbox')) alongQueue(event)
})

// A queue is worked through by keys: j and k go along its rows, x ticks one, and a row's buttons name their own key.
function alongQueue(event) {
  const rows = [...document.querySelectorAll('[data-queue] tbody tr')]
  if (!rows.length || event.target.closest('dialog')) return
  const at = rows.findIndex(row => row.classList.contains('at'))
  const move = { j: 1, k: -1 }[event.key]
  if (move) {
    const row = rows[at < 0 ? 0 : Math.min(Math.max(at + move, 0), rows.length - 1)]
    rows[at]?.classList.remove('at')
    row.classList.add('at')
    row.querySelector('td a')?.focus({ preventScroll: true })
    row.scrollIntoView({ block: 'nearest' })
  } else if (at >= 0 && event.key === 'x') rows[at].querySelector('input[type=checkbox]')?.click()
  else if (at >= 0 && /^[a-z]$/.test(event.key)) rows[at].querySelector(`[data-key="${event.key}"]`)?.click()
}

// A list is filtered in place: its files are those of the address as it is now.
document.addEventListener('toggle', event => {
  if (!event.target.open) return
  const query = new URLSearchParams(location.search)
  for (const name of ['after', 'lang']) query.delete(name)
  each('a[data-follow]', link => { link.search = query }, event.target)
}, true)

// Pointing at an octet shows its field in the list beside it, and the reverse.
for (const [kind, on] of [['mouseover', true], ['mouseout', false]]) {
  document.addEventListener(kind, event => {
    const part = event.target.closest('[data-part]')
    if (!part) return
    each(`[data-part="${part.dataset.part}"]`, same => same.classList.toggle('lit', on), part.closest('.frame'))
  })
}

// Relative times go on ageing while the page is open.
const ago = new Intl.RelativeTimeFormat(root.lang, { numeric: 'always', style: 'short' })
function age(element) {
  const seconds = (Date.parse(element.dateTime) - Date.now()) / 1000
  const steps = [[60, 1, 'second'], [3600, 60, 'minute'], [86_400, 3600, 'hour'], [Infinity, 86_400, 'day']]
  const [, size, unit] = steps.find(([limit]) => Math.abs(seconds) < limit)
  const text = ago.format(Math.round(seconds / size), unit)
  if (element.textContent !== text) element.textContent = text
}
const ageAll = () => each('time[data-age]', age)
setInterval(ageAll, 5000)

function show(element, text) {
  if (!element || element.textContent === text) return
  element.textContent = text
  element.classList.remove('fresh')
  requestAnimationFrame(() => element.classList.add('fresh'))
}

// Live values: the server sends text already formatted for this browser's language.
function startReadings() {
  const values = document.querySelector('[data-live-meter]')
  if (!values) return
  listen('readings', `meter:${values.dataset.liveMeter}`, readings => {
    for (const { meter, quantity, text, at } of readings) {
      const holder = document.querySelector(`[data-live-meter="${meter}"] [data-quantity="${quantity}"]`)
      if (!holder) continue
      show(holder.querySelector('[data-value]'), text)
      const time = holder.querySelector('time')
      if (time) { time.dateTime = at; age(time) }
    }
  })
}

function startStates() {
  const holder = document.querySelector('[data-meter-state]')
  if (!holder) return
  const meter = holder.dataset.meterState
  listen('meters', `meter:${meter}`, states => {
    const pill = holder.querySelector('.state')
    if (!states[meter] || !pill) return
    pill.dataset.state = states[meter].state
    show(pill, states[meter].text)
  })
}

function startTick() {
  listen('connected', null, yes => { root.dataset.stream = yes ? 'open' : 'lost' })
  listen('tick', 'tick', tick => {
    root.dataset.stream = 'open'
    for (const [name, text] of Object.entries(tick.texts)) each(`[data-tick="${name}"]`, element => show(element, text))
    for (const [link, state] of Object.entries(tick.links)) {
      each(`[data-link-state="${CSS.escape(link)}"]`, element => { element.dataset.state = state.state; show(element, state.text) })
    }
  })
}

// Alarms: the count in the navigation, the newest one for a moment, and the lists that show them.
let newsUntil
function startAlarms() {
  const counts = document.querySelectorAll('[data-alarms]')
  if (!counts.length) return
  listen('alarms', 'alarms', alarms => {
    for (const count of counts) {
      count.dataset.state = alarms.state
      count.hidden = !alarms.count
      show(count, alarms.text)
    }
    const news = document.querySelector('[data-alarm-news]'), newest = alarms.raised.at(-1)
    if (news && newest) {
      Object.assign(news, { href: newest.href, textContent: newest.text, hidden: false })
      news.dataset.state = newest.state
      clearTimeout(newsUntil)
      newsUntil = setTimeout(() => { news.hidden = true }, 15_000)
    }
    if (!document.hidden) poll('[data-poll="alarms"]')
  })
}

// Commands that take a step: the pages that show them are asked for again, at most once a second.
let commandsDue
function startCommands() {
  if (!document.querySelector('[data-poll="commands"], #control')) return
  listen('commands', 'commands', () => {
    commandsDue ??= setTimeout(() => { commandsDue = undefined; if (!document.hidden) poll('[data-poll="commands"]') }, 1000)
  })
}

// Parts of a page that are asked for again while it is looked at; never under somebody's selection or open menu.
function poll(selector) {
  if (document.querySelector('.htmx-request') || getSelection().toString()) return
  each(selector, part => { if (!part.contains(document.activeElement)) part.dispatchEvent(new Event('poll')) })
}
setInterval(() => { if (!document.hidden) poll('[data-poll]') }, 10_000)
setInterval(async () => {
  if (document.hidden) return
  for (const island of [islands, carpets]) if (island) (await island).refresh()
}, 30_000)

let islands = null
let carpets = null
async function startIslands() {
  if (document.querySelector('[data-chart]')) {
    islands ??= import('./charts.js')
    const { draw } = await islands
    each('[data-chart]', draw)
  }
  if (document.querySelector('[data-carpet]')) {
    carpets ??= import('./carpet.js')
    const { lay } = await carpets
    each('[data-carpet]', lay)
  }
  if (document.querySelector('[data-monitor]')) (await import('./monitor.js')).start(listen)
}

each('[data-submit]', field => field.addEventListener('change', () => field.form.submit()))

// What scrolls sideways can be scrolled by keyboard too.
const reachable = () => each('.wide, .monitor', box => {
  if (box.scrollWidth > box.clientWidth) box.tabIndex = 0
  else box.removeAttribute('tabindex')
})
addEventListener('resize', reachable)

document.addEventListener('htmx:after:swap', () => { ageAll(); reachable(); startIslands() })
document.querySelector('.side nav [aria-current]')?.scrollIntoView({ block: 'nearest' })
startTick()
startReadings()
startStates()
startAlarms()
startCommands()
startIslands()
ageAll()
reachable()
