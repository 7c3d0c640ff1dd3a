// Chart islands. Colours come from the page's own variables, so that light, dark and print agree with it.
import { BarChart, LineChart } from 'echarts/charts'
import { AriaComponent, DataZoomComponent, GridComponent, MarkAreaComponent, MarkLineComponent, TooltipComponent } from 'echarts/components'
import { init, use } from 'echarts/core'
import { CanvasRenderer } from 'echarts/renderers'
import { hatch } from './hatch.js'
import { visibleFrom, zoomable } from './zoom.js'

use([BarChart, LineChart, GridComponent, TooltipComponent, DataZoomComponent, MarkAreaComponent, MarkLineComponent, AriaComponent, CanvasRenderer])

const root = document.documentElement
const drawn = new Map()
const colour = name => getComputedStyle(root).getPropertyValue(name).trim()
const language = root.lang
const number = (value, digits) => new Intl.NumberFormat(language, { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value)

// Content-Security-Policy forbids style attributes, so tooltips are built as elements with classes.
function tip(title, lines) {
  const box = document.createElement('div')
  box.className = 'chart-tip'
  box.appendChild(document.createElement('div')).textContent = title
  for (const [label, value, kind] of lines) {
    const line = box.appendChild(document.createElement('div'))
    line.className = `chart-tip-line ${kind ?? ''}`
    line.appendChild(document.createElement('span')).textContent = label
    line.appendChild(document.createElement('b')).textContent = value
  }
  return box
}

const DAY = 86_400_000

// An instant in the site's civil time, as parts. Asking Intl for each of a month's 2,976 quarter hours took longer than
// drawing them, so it is asked twice a day (UTC), and for each instant only on the days that the clocks change.
function civil(zone) {
  const format = new Intl.DateTimeFormat('en-GB', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
  const offset = time => {
    const part = Object.fromEntries(format.formatToParts(time).map(({ type, value }) => [type, Number(value)]))
    return Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second) - time
  }
  const ofDay = new Map()
  const known = time => {
    const start = time - time % DAY
    if (!ofDay.has(start)) {
      const [first, last] = [offset(start), offset(start + DAY)]
      ofDay.set(start, first === last ? first : null)
    }
    return ofDay.get(start) ?? offset(time)
  }
  return instant => {
    const time = Date.parse(instant)
    const text = new Date(time + known(time)).toISOString() // civil time, written as if it were UTC
    return { day: text.slice(0, 10), time: text.slice(11, 16), slot: Number(text.slice(11, 13)) * 4 + Math.floor(text.slice(14, 16) / 15) }
  }
}

const shortDay = day => `${Number(day.slice(5, 7))}/${Number(day.slice(8))}`

function frame(element) {
  const text = colour('--wk-muted')
  return {
    backgroundColor: 'transparent',
    animation: false,
    aria: { enabled: true, label: { description: element.getAttribute('aria-label') ?? '' } },
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: text },
    grid: { left: 8, right: 14, top: 30, bottom: 6, containLabel: true },
    tooltip: {
      trigger: 'axis', confine: true, borderWidth: 1, padding: 10,
      backgroundColor: colour('--wk-surface'), borderColor: colour('--wk-line'), textStyle: { color: colour('--wk-text'), fontSize: 13 },
      axisPointer: { lineStyle: { color: colour('--wk-line-strong') } },
    },
    categories: data => ({
      type: 'category', data, axisTick: { show: false }, axisLine: { lineStyle: { color: colour('--wk-line') } },
      axisLabel: { color: text, hideOverlap: true, fontSize: 12 },
    }),
    values: unit => ({
      type: 'value', name: unit, nameTextStyle: { color: text, align: 'left' }, nameGap: 12,
      axisLabel: { color: text, fontSize: 12 }, splitLine: { lineStyle: { color: colour('--wk-line') } },
    }),
    zoom: [
      { type: 'inside', zoomOnMouseWheel: 'ctrl', moveOnMouseWheel: false, moveOnMouseMove: false, minValueSpan: 3 },
      { type: 'slider', height: 20, bottom: 8, borderColor: 'transparent', backgroundColor: 'transparent', fillerColor: colour('--wk-accent-wash'),
        handleSize: '80%', handleStyle: { color: colour('--wk-surface'), borderColor: colour('--wk-accent') }, moveHandleSize: 0, textStyle: { color: 'transparent' },
        dataBackground: { lineStyle: { color: colour('--wk-line-strong') }, areaStyle: { color: colour('--wk-line') } },
        selectedDataBackground: { lineStyle: { color: colour('--wk-accent') }, areaStyle: { color: colour('--wk-accent-wash') } } },
    ],
  }
}

const take = value => (value === null ? null : Number(value))

// First and last index of each run of true.
function runs(flags) {
  const found = []
  flags.forEach((flag, index) => { if (flag) { if (flags[index - 1]) found.at(-1)[1] = index; else found.push([index, index]) } })
  return found.map(([from, to]) => [from, Math.min(to + 1, flags.length - 1)])
}

// Which labels of the time axis are shown, by how much of it is in view; a day's first one carries its date.
function timeAxis(axis, moments, view) {
  const oneDay = new Set(moments.map(({ day }) => day)).size <= 1
  const wanted = count => (count <= 20 ? /./ : count <= 52 ? /:00$/ : count <= 200 ? /[02468]:00$/ : /^00:00$/)
  axis.axisLabel.interval = index => wanted(view.last - view.first + 1).test(moments[index].time)
  axis.axisLabel.formatter = moment => (!oneDay && moment.endsWith('T00:00') ? shortDay(moment.slice(0, 10)) : moment.slice(11))
  return axis
}

// What happened, as lines at its instant and, of alarms, areas over their time.
function happenings(events, starts) {
  const instants = starts.map(Date.parse)
  const place = at => instants.findLastIndex(start => start <= Date.parse(at))
  const shown = events.filter(({ kind }) => kind !== 'read_asked' && kind !== 'created' && kind !== 'changed')
  const tone = level => colour({ ok: '--wk-ok', warn: '--wk-warn', bad: '--wk-bad' }[level] ?? '--wk-muted')
  const places = shown.map(event => ({ event, index: Math.max(0, place(event.at)) }))
  return {
    at: index => places.filter(({ event, index: own }) => own === index || (event.until && own <= index && Date.parse(event.until) > instants[index])).map(({ event }) => event),
    lines: places.filter(({ event }) => place(event.at) >= 0).map(({ event, index }, number) => ({
      xAxis: index, lineStyle: { color: tone(event.level), type: 'dashed', width: 1.2 },
      label: { show: number < 6, formatter: event.title, position: 'end', rotate: 0, color: tone(event.level), fontSize: 11, distance: 2 + (number % 2) * 11 },
    })),
    areas: places.filter(({ event }) => event.until).map(({ event, index }) => [
      { xAxis: index, itemStyle: { color: colour('--wk-bad-wash'), opacity: 0.5 } }, { xAxis: Math.max(index, place(event.until)) },
    ]),
  }
}

function curve(element, words, [now, before, events], view) {
  const at = civil(element.dataset.zone)
  const base = frame(element)
  const bars = now.resolution === 'day' || now.resolution === 'month'
  const moments = now.starts.map(at)
  const values = (bars ? now.energy_kwh : now.power_kw).map(take)
  const unit = bars ? 'kWh' : 'kW'
  view.moments = moments.map(({ day, time }) => (bars ? day : `${day}T${time}`))
  view.days = bars
  const range = visibleFrom(element, view)
  const named = now.resolution === 'month' ? ({ day }) => day.slice(0, 7) : ({ day }) => shortDay(day)
  const axis = base.categories(bars ? moments.map(named) : view.moments)
  if (!bars) timeAxis(axis, moments, view)
  const guessed = now.status.map(status => status === 'estimated')
  const striped = { image: hatch(colour('--wk-accent'), colour('--wk-accent-wash')), repeat: 'repeat' }
  const shape = bars
    ? { type: 'bar', barMaxWidth: 26, itemStyle: { borderRadius: [3, 3, 0, 0] } }
    : { type: 'line', showSymbol: false, lineStyle: { width: 1.6 }, areaStyle: { opacity: 0.1 }, connectNulls: false, sampling: 'lttb' }
  const data = bars && 'shade' in element.dataset
    ? values.map((value, index) => (guessed[index] ? { value, itemStyle: { color: striped } } : value))
    : values
  const happened = happenings(events ?? [], now.starts)
  const stripes = { image: hatch(colour('--wk-warn'), 'transparent', 0.4), repeat: 'repeat' }
  const estimates = bars ? [] : runs(guessed).map(([from, to]) => [{ xAxis: from, itemStyle: { color: stripes } }, { xAxis: to }])
  const marks = {
    markArea: { silent: true, label: { show: false }, data: [...estimates, ...happened.areas] },
    markLine: { silent: true, symbol: 'none', data: happened.lines },
  }
  const series = [{ ...shape, ...marks, name: words.now, data, color: colour('--wk-accent'), z: 3 }]
  if (before) {
    const previous = (bars ? before.energy_kwh : before.power_kw).map(take).slice(0, values.length)
    series.unshift({ type: bars ? 'bar' : 'line', name: words.before, data: previous, showSymbol: false, barMaxWidth: 26, color: colour('--wk-faint'), lineStyle: { width: 1.4, type: 'dashed' }, itemStyle: { borderRadius: [3, 3, 0, 0] } })
  }
  const sliding = values.length > 48
  const zoom = element.classList.contains('zoomable') ? base.zoom.slice(0, sliding ? 2 : 1) : sliding && values.length > 120 ? base.zoom : []
  return {
    ...base, xAxis: axis, yAxis: base.values(unit), series,
    grid: { ...base.grid, bottom: zoom.length > 1 ? 40 : 6 },
    dataZoom: zoom.map(part => ({ ...part, ...range })),
    tooltip: { ...base.tooltip, formatter: points => {
      const index = points[0].dataIndex
      const status = now.status[index]
      const lines = points.toReversed().map(point => [point.seriesName, point.value == null ? words.none : `${number(point.value, bars ? 2 : 3)} ${unit}`])
      if (words[status]) lines.push([words[status], '', 'muted'])
      for (const event of happened.at(index)) lines.push([event.title, '', 'event'])
      return tip(bars ? (now.resolution === 'month' ? moments[index].day.slice(0, 7) : moments[index].day) : `${moments[index].day} ${moments[index].time}`, lines)
    } },
  }
}

async function fetched(url) {
  const response = await fetch(url, { headers: { accept: 'application/json' } })
  if (!response.ok) throw new Error((await response.json()).detail)
  return response.json()
}

// Without its events a curve is still a curve.
async function option(element, view) {
  const words = JSON.parse(element.dataset.words)
  const { url, before: earlier, events: happened } = element.dataset
  const [now, before, events] = await Promise.all([fetched(url), earlier && fetched(earlier), happened && fetched(happened).catch(() => [])])
  element.dataset.empty = words.empty
  element.classList.toggle('is-empty', ![now, before].some(data => data?.energy_kwh.some(value => value !== null)))
  view.last = now.starts.length - 1
  return () => curve(element, words, [now, before, events], view)
}

// The observer also tells of a size when it begins to watch, and a chart that has it already would be drawn twice.
const sizes = new ResizeObserver(entries => {
  for (const { target } of entries) {
    const chart = drawn.get(target)?.chart
    if (chart && (chart.getWidth() !== target.clientWidth || chart.getHeight() !== target.clientHeight)) chart.resize()
  }
})

// A chart is drawn when it comes near the window, or when the page is printed.
const waiting = new Map()
const near = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) if (isIntersecting) waiting.get(target)?.()
}, { rootMargin: '300px' })
addEventListener('beforeprint', () => { for (const paint of [...waiting.values()]) paint() })

function whenNear(element, paint) {
  waiting.set(element, () => { waiting.delete(element); near.unobserve(element); paint() })
  near.observe(element)
}

export async function draw(element) {
  const key = `${element.dataset.url} ${element.dataset.before ?? ''}`
  const known = drawn.get(element)
  if (known?.key === key) return
  known?.chart?.dispose()
  drawn.set(element, { key })
  try {
    const view = { first: 0, last: 0 }
    const make = await option(element, view)
    whenNear(element, () => {
      if (drawn.get(element)?.key !== key || !element.isConnected) return
      const chart = init(element)
      chart.setOption(make())
      drawn.set(element, { key, chart, make, view })
      sizes.observe(element)
      if (element.classList.contains('zoomable')) zoomable(element, chart, view)
    })
  } catch (problem) {
    element.dataset.problem = problem.message
  }
}

// Charts that end with the present are drawn again as it moves on, where they stand.
export function refresh() {
  for (const [element, known] of drawn) {
    if (!element.isConnected || !('refresh' in element.dataset) || !known.chart) continue
    const { first, last } = known.view
    option(element, known.view).then(make => {
      if (drawn.get(element) !== known) return
      Object.assign(known.view, { first, last })
      known.make = make
      const { dataZoom, ...rest } = make() // a zoomed chart stays where somebody has zoomed it
      known.chart.setOption(rest)
    }).catch(() => {})
  }
}

new MutationObserver(() => {
  for (const [element, { chart, make }] of drawn) {
    if (!element.isConnected) { chart?.dispose(); drawn.delete(element) } else if (chart) chart.setOption(make(), true)
  }
}).observe(root, { attributeFilter: ['data-bs-theme'] })
