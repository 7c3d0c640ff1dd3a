// Chart islands. Colours come from the page's own variables, so that light, dark and print agree with it.
import { BarChart, HeatmapChart, LineChart } from 'echarts/charts'
import { AriaComponent, DataZoomComponent, GridComponent, MarkAreaComponent, TooltipComponent, VisualMapComponent } from 'echarts/components'
import { init, use } from 'echarts/core'
import { CanvasRenderer } from 'echarts/renderers'

use([BarChart, LineChart, HeatmapChart, GridComponent, TooltipComponent, DataZoomComponent, VisualMapComponent, MarkAreaComponent, AriaComponent, CanvasRenderer])

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
      { type: 'inside', zoomOnMouseWheel: 'ctrl', moveOnMouseWheel: false },
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

function curve(element, words, now, before) {
  const at = civil(element.dataset.zone)
  const base = frame(element)
  const bars = now.resolution === 'day' || now.resolution === 'month'
  const moments = now.starts.map(at)
  const labels = moments.map(({ day, time }) => (bars ? shortDay(day) : `${shortDay(day)} ${time}`))
  const values = (bars ? now.energy_kwh : now.power_kw).map(take)
  const unit = bars ? 'kWh' : 'kW'
  const oneDay = new Set(moments.map(({ day }) => day)).size <= 1
  const axis = base.categories(oneDay ? moments.map(({ time }) => time) : labels)
  if (oneDay) axis.axisLabel.interval = index => /[02468]:00$/.test(moments[index].time)
  if (!oneDay && !bars) {
    axis.axisLabel.interval = index => moments[index].time === '00:00'
    axis.axisLabel.formatter = label => label.split(' ')[0]
  }
  const shape = bars ? { type: 'bar', barMaxWidth: 26, itemStyle: { borderRadius: [3, 3, 0, 0] } } : { type: 'line', showSymbol: false, lineStyle: { width: 1.6 }, areaStyle: { opacity: 0.1 }, connectNulls: false, sampling: 'lttb' }
  const guessed = now.status.map(status => status === 'estimated')
  const data = bars && 'shade' in element.dataset ? values.map((value, index) => (guessed[index] ? { value, itemStyle: { opacity: 0.45 } } : value)) : values
  const marked = bars ? {} : { markArea: { silent: true, itemStyle: { color: colour('--wk-warn-wash'), opacity: 0.7 }, label: { show: false }, data: runs(guessed).map(([from, to]) => [{ xAxis: from }, { xAxis: to }]) } }
  const series = [{ ...shape, ...marked, name: words.now, data, color: colour('--wk-accent'), z: 3 }]
  if (before) {
    const previous = (bars ? before.energy_kwh : before.power_kw).map(take).slice(0, values.length)
    series.unshift({ type: bars ? 'bar' : 'line', name: words.before, data: previous, showSymbol: false, barMaxWidth: 26, color: colour('--wk-faint'), lineStyle: { width: 1.4, type: 'dashed' }, itemStyle: { borderRadius: [3, 3, 0, 0] } })
  }
  const zoomed = values.length > 120
  return {
    ...base, xAxis: axis, yAxis: base.values(unit), series,
    grid: { ...base.grid, bottom: zoomed ? 40 : 6 },
    dataZoom: zoomed ? base.zoom : [],
    tooltip: { ...base.tooltip, formatter: points => {
      const index = points[0].dataIndex
      const estimated = now.status[index] === 'estimated'
      const lines = points.toReversed().map(point => [point.seriesName, point.value == null ? words.none : `${number(point.value, bars ? 2 : 3)} ${unit}`])
      if (estimated) lines.push([words.estimated, '', 'muted'])
      return tip(bars ? moments[index].day : `${moments[index].day} ${moments[index].time}`, lines)
    } },
  }
}

function heat(element, words, data) {
  const at = civil(element.dataset.zone)
  const base = frame(element)
  const days = []
  const cells = []
  let top = 0
  data.starts.forEach((start, index) => {
    const { day, slot } = at(start)
    if (days.at(-1) !== day) days.push(day)
    const value = take(data.power_kw[index])
    if (value === null) return
    top = Math.max(top, value)
    const cell = [slot, days.length - 1, value]
    cells.push(data.status[index] === 'estimated' ? { value: cell, itemStyle: { opacity: 0.4 }, estimated: true } : cell)
  })
  const slots = [...Array(96).keys()].map(slot => `${String(slot >> 2).padStart(2, '0')}:${String((slot % 4) * 15).padStart(2, '0')}`)
  return {
    ...base,
    grid: { left: 8, right: 12, top: 8, bottom: 46, containLabel: true },
    xAxis: { ...base.categories(slots), axisLabel: { color: colour('--wk-muted'), interval: index => index % 16 === 0, fontSize: 12 }, splitArea: { show: false } },
    yAxis: { ...base.categories(days), inverse: true, axisLabel: { color: colour('--wk-muted'), fontSize: 12, formatter: shortDay, hideOverlap: true } },
    visualMap: { min: 0, max: top || 1, orient: 'horizontal', left: 'center', bottom: 0, itemHeight: 160, itemWidth: 10, text: [`${number(top, 2)} kW`, '0'], textStyle: { color: colour('--wk-muted') }, inRange: { color: ['--wk-heat-0', '--wk-heat-1', '--wk-heat-2', '--wk-heat-3', '--wk-heat-4'].map(colour) } },
    tooltip: { ...base.tooltip, trigger: 'item', formatter: ({ value, data: cell }) => tip(`${days[value[1]]} ${slots[value[0]]}`, [[words.load, `${number(value[2], 3)} kW`], ...(cell.estimated ? [[words.estimated, '', 'muted']] : [])]) },
    series: [{ type: 'heatmap', data: cells, progressive: 0, itemStyle: { borderWidth: 0 }, emphasis: { itemStyle: { borderColor: colour('--wk-text'), borderWidth: 1 } } }],
  }
}

async function fetched(url) {
  const response = await fetch(url, { headers: { accept: 'application/json' } })
  if (!response.ok) throw new Error((await response.json()).detail)
  return response.json()
}

async function option(element) {
  const words = JSON.parse(element.dataset.words)
  const [now, before] = await Promise.all([element.dataset.url, element.dataset.before].filter(Boolean).map(fetched))
  element.dataset.empty = words.empty
  element.classList.toggle('is-empty', ![now, before].some(data => data?.energy_kwh.some(value => value !== null)))
  return () => (element.dataset.chart === 'heat' ? heat(element, words, now) : curve(element, words, now, before))
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
    const make = await option(element)
    whenNear(element, () => {
      if (drawn.get(element)?.key !== key || !element.isConnected) return
      const chart = init(element)
      chart.setOption(make())
      drawn.set(element, { key, chart, make })
      sizes.observe(element)
    })
  } catch (problem) {
    element.dataset.problem = problem.message
  }
}

// Charts that end with the present are drawn again as it moves on, where they stand.
export function refresh() {
  for (const [element, known] of drawn) {
    if (!element.isConnected || !('refresh' in element.dataset) || !known.chart) continue
    option(element).then(make => {
      if (drawn.get(element) !== known) return
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
