// The heat map of a load: a column per day, a row per quarter hour of the civil day. A chart library needs an object for
// each of its 5,000 cells; a canvas needs none.
import { hatch } from './hatch.js'

const root = document.documentElement
const colour = name => getComputedStyle(root).getPropertyValue(name).trim()
const number = (value, digits) => new Intl.NumberFormat(root.lang, { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value)
const dayName = day => new Intl.DateTimeFormat(root.lang, { weekday: 'short', month: 'short', day: 'numeric', timeZone: 'UTC' }).format(new Date(day))
const shortDay = day => `${Number(day.slice(5, 7))}/${Number(day.slice(8))}`
const known = status => status === 'measured' || status === 'estimated' || status === 'edited'
const carpets = new Map()
const ROWS = 96
const MARGIN = { left: 44, right: 4, top: 4, bottom: 22 }

function mixed(stops, share) {
  const place = Math.min(share, 1) * (stops.length - 1)
  const at = Math.min(Math.floor(place), stops.length - 2)
  const parts = [0, 1, 2].map(part => Math.round(stops[at][part] + (stops[at + 1][part] - stops[at][part]) * (place - at)))
  return `rgb(${parts.join(' ')})`
}

const channels = hex => [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16))

// Missing is not zero: a cell without a value keeps the ground, with a faint dot on it.
function dots(ground, dot) {
  const tile = document.createElement('canvas')
  tile.width = tile.height = 5
  const pen = tile.getContext('2d')
  pen.fillStyle = ground
  pen.fillRect(0, 0, 5, 5)
  pen.fillStyle = dot
  pen.fillRect(2, 2, 1, 1)
  return tile
}

function layout(carpet) {
  const { canvas, data } = carpet
  const width = canvas.clientWidth - MARGIN.left - MARGIN.right
  const height = canvas.clientHeight - MARGIN.top - MARGIN.bottom
  return {
    x: day => MARGIN.left + Math.round((day * width) / data.days.length),
    y: row => MARGIN.top + Math.round((row * height) / ROWS),
    cell: (x, y) => {
      const day = Math.floor(((x - MARGIN.left) / width) * data.days.length)
      const row = Math.floor(((y - MARGIN.top) / height) * ROWS)
      return day >= 0 && day < data.days.length && row >= 0 && row < ROWS ? { day, row } : null
    },
  }
}

function paint(carpet) {
  const { canvas, data } = carpet
  const scale = devicePixelRatio || 1
  canvas.width = canvas.clientWidth * scale
  canvas.height = canvas.clientHeight * scale
  const pen = canvas.getContext('2d')
  pen.scale(scale, scale)
  const { x, y } = layout(carpet)
  const stops = [0, 1, 2, 3, 4].map(step => channels(colour(`--wk-heat-${step}`)))
  const blank = pen.createPattern(dots(colour('--wk-surface'), colour('--wk-line-strong')), 'repeat')
  const striped = pen.createPattern(hatch(colour('--wk-surface'), 'transparent', 0.75), 'repeat')
  data.status.forEach((statuses, day) => statuses.forEach((status, row) => {
    if (status === 'skipped' || status === 'ahead') return
    const box = [x(day), y(row), x(day + 1) - x(day), y(row + 1) - y(row)]
    pen.fillStyle = known(status) ? mixed(stops, Number(data.power_kw[day][row]) / (carpet.most || 1)) : blank
    pen.fillRect(...box)
    if (status !== 'estimated') return
    pen.fillStyle = striped
    pen.fillRect(...box)
  }))
  axes(pen, carpet)
  if (carpet.at) {
    pen.strokeStyle = colour('--wk-text')
    pen.lineWidth = 1.5
    const { day, row } = carpet.at
    pen.strokeRect(x(day) - 0.5, y(row) - 0.5, x(day + 1) - x(day) + 1, y(row + 1) - y(row) + 1)
  }
}

function axes(pen, carpet) {
  const { canvas, data } = carpet
  const { x, y } = layout(carpet)
  pen.fillStyle = colour('--wk-muted')
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`
  pen.textBaseline = 'middle'
  pen.textAlign = 'right'
  for (let hour = 0; hour <= 24; hour += 4) pen.fillText(`${String(hour).padStart(2, '0')}:00`, MARGIN.left - 6, Math.min(Math.max(y(hour * 4), 8), canvas.clientHeight - MARGIN.bottom - 4))
  pen.textAlign = 'center'
  const every = Math.ceil(44 / Math.max(1, x(1) - x(0)))
  data.days.forEach((day, index) => {
    if (index % every || x(index) > canvas.clientWidth - 20) return
    pen.fillText(shortDay(day), Math.max((x(index) + x(index + 1)) / 2, MARGIN.left + 12), canvas.clientHeight - MARGIN.bottom / 2 + 2)
  })
}

function sentence(carpet, { day, row }) {
  const { data, words } = carpet
  const status = data.status[day][row]
  const title = `${dayName(data.days[day])}, ${data.slots[row]} – ${data.slots[row + 1] ?? '24:00'}`
  if (!known(status)) return [title, [[words[status] ?? words.missing, '']]]
  const lines = [
    [words.power, `${number(data.power_kw[day][row], 3)} kW`],
    [words.energy, `${number(data.energy_kwh[day][row], 3)} kWh`],
  ]
  return [title, status === 'measured' ? lines : [...lines, [words[status], '']]]
}

function tell(carpet, at, aloud) {
  const { tip, live, element } = carpet
  carpet.at = at
  paint(carpet)
  tip.hidden = !at
  if (!at) return
  const [title, lines] = sentence(carpet, at)
  tip.replaceChildren()
  tip.appendChild(document.createElement('div')).textContent = title
  for (const [label, value] of lines) {
    const line = tip.appendChild(document.createElement('div'))
    line.className = 'chart-tip-line'
    line.appendChild(document.createElement('span')).textContent = label
    line.appendChild(document.createElement('b')).textContent = value
  }
  const { x, y } = layout(carpet)
  const left = x(at.day) > element.clientWidth / 2 ? x(at.day) - tip.offsetWidth - 10 : x(at.day + 1) + 10
  tip.style.left = `${Math.min(Math.max(0, left), element.clientWidth - tip.offsetWidth)}px`
  tip.style.top = `${Math.min(Math.max(0, y(at.row) - 20), carpet.canvas.clientHeight - tip.offsetHeight)}px`
  if (aloud) live.textContent = `${title}: ${lines.map(line => line.join(' ').trim()).join(', ')}`
}

function summary({ data, words, most }) {
  const facts = { days: data.days.length, known: 0, expected: 0, estimated: 0 }
  let top = null
  data.status.forEach((statuses, day) => statuses.forEach((status, row) => {
    if (status === 'skipped' || status === 'ahead') return
    facts.expected += 1
    if (!known(status)) return
    facts.known += 1
    if (status === 'estimated') facts.estimated += 1
    if (!top && Number(data.power_kw[day][row]) === most) top = { day: dayName(data.days[day]), time: data.slots[row] }
  }))
  if (!top) return words.nothing
  const counted = Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, number(value, 0)]))
  const said = { ...counted, ...top, kw: number(most, 2) }
  return words.summary.replaceAll(/\{(\w+)\}/g, (_, name) => said[name])
}

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], PageUp: [0, -4], PageDown: [0, 4], Home: [-999, 0], End: [999, 0] }

function listen(carpet) {
  const { element, canvas } = carpet
  const open = at => { if (at && element.dataset.day) location.href = `${element.dataset.day}${carpet.data.days[at.day]}#t${carpet.data.slots[at.row].replace(':', '')}` }
  canvas.addEventListener('pointermove', event => {
    const at = layout(carpet).cell(event.offsetX, event.offsetY)
    if (at?.day !== carpet.at?.day || at?.row !== carpet.at?.row) tell(carpet, at)
  })
  canvas.addEventListener('pointerleave', () => tell(carpet, null))
  canvas.addEventListener('click', event => { if (event.pointerType !== 'touch') open(layout(carpet).cell(event.offsetX, event.offsetY)) })
  element.addEventListener('blur', () => tell(carpet, null))
  element.addEventListener('keydown', event => {
    if (event.key === 'Enter') open(carpet.at)
    if (event.key === 'Escape') tell(carpet, null)
    if (!MOVES[event.key]) return
    event.preventDefault()
    const at = carpet.at ?? { day: carpet.data.days.length - 1, row: 0 }
    const keep = (value, most) => Math.min(Math.max(value, 0), most)
    const [days, rows] = carpet.at ? MOVES[event.key] : [0, 0]
    tell(carpet, { day: keep(at.day + days, carpet.data.days.length - 1), row: keep(at.row + rows, ROWS - 1) }, true)
  })
}

async function load(carpet) {
  const response = await fetch(carpet.element.dataset.url, { headers: { accept: 'application/json' } })
  const data = await response.json()
  if (!response.ok) throw new Error(data.detail)
  const powers = data.power_kw.flat().filter(value => value !== null).map(Number)
  const most = powers.reduce((top, value) => Math.max(top, value), 0)
  Object.assign(carpet, { data, most })
  const said = summary(carpet)
  carpet.element.setAttribute('aria-label', `${said} ${carpet.words.keys}`)
  carpet.note.textContent = said
  const key = carpet.element.closest('.card').querySelector('[data-carpet-most]')
  if (key) key.textContent = `${number(most, 2)} kW`
  paint(carpet)
}

function build(element) {
  const carpet = { element, words: JSON.parse(element.dataset.words), at: null }
  element.replaceChildren()
  carpet.canvas = element.appendChild(document.createElement('canvas'))
  carpet.tip = element.appendChild(document.createElement('div'))
  carpet.tip.className = 'chart-tip carpet-tip'
  carpet.tip.hidden = true
  carpet.live = element.appendChild(document.createElement('div'))
  carpet.live.className = 'visually-hidden'
  carpet.live.setAttribute('aria-live', 'polite')
  carpet.note = element.appendChild(document.createElement('p'))
  carpet.note.className = 'carpet-note muted small'
  return carpet
}

const near = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue
    near.unobserve(target)
    const carpet = build(target)
    load(carpet).then(() => { carpets.set(target, carpet); listen(carpet); sizes.observe(carpet.canvas) })
      .catch(problem => { target.textContent = problem.message })
  }
}, { rootMargin: '300px' })
const sizes = new ResizeObserver(() => { for (const carpet of carpets.values()) if (carpet.element.isConnected) paint(carpet) })
const begun = new WeakSet()

export function lay(element) {
  if (begun.has(element)) return
  begun.add(element)
  near.observe(element)
}

export function refresh() {
  for (const [element, carpet] of carpets) {
    if (!element.isConnected) carpets.delete(element)
    else if ('refresh' in element.dataset) load(carpet).catch(() => {})
  }
}

new MutationObserver(() => { for (const carpet of carpets.values()) if (carpet.element.isConnected) paint(carpet) })
  .observe(root, { attributeFilter: ['data-bs-theme'] })
