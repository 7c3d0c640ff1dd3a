// Looking closer at a curve: drag with the mouse, Ctrl and wheel, two fingers, or the slider. What is in view stands in
// the address (zoom=from~to, in the site's time), so that it can be passed on and comes back on reload.
const parameter = 'zoom'

// The part of the curve that the address asks for, as values of its axis; nothing when it asks for none of these.
export function visibleFrom(element, view) {
  const [from, to] = (element.classList.contains('zoomable') && new URL(location).searchParams.get(parameter)?.split('~')) || []
  const first = view.moments.findIndex(moment => moment >= from)
  const last = view.moments.findLastIndex(moment => moment <= to)
  if (!from || !to || first < 0 || last <= first) return {}
  Object.assign(view, { first, last })
  return { startValue: first, endValue: last }
}

function told(element, view) {
  const whole = view.first === 0 && view.last === view.moments.length - 1
  const address = new URL(location)
  if (whole) address.searchParams.delete(parameter)
  else address.searchParams.set(parameter, `${view.moments[view.first]}~${view.moments[view.last]}`)
  history.replaceState(history.state, '', address.href.replaceAll('%7E', '~').replaceAll('%3A', ':'))
  const tools = element.closest('.card').querySelector('[data-zoomed]')
  if (!tools) return
  tools.hidden = whole
  const finer = tools.querySelector('[data-zoom-days]')
  if (!finer) return
  finer.hidden = !view.days || view.moments[0].length < 10 || view.last - view.first > 13
  address.searchParams.delete(parameter)
  for (const name of ['span', 'at']) address.searchParams.delete(name)
  address.searchParams.set('from', view.moments[view.first])
  address.searchParams.set('to', view.moments[view.last])
  finer.href = `${address.pathname}${address.search}#curve`
}

export function zoomable(element, chart, view) {
  const show = (startValue, endValue) => chart.dispatchAction({ type: 'dataZoom', startValue, endValue })
  const whole = () => show(0, view.moments.length - 1)
  chart.on('datazoom', () => {
    const [{ startValue, endValue }] = chart.getOption().dataZoom
    Object.assign(view, { first: startValue, last: endValue })
    told(element, view)
    requestAnimationFrame(() => { if (!chart.isDisposed()) chart.setOption({ xAxis: {} }) }) // its labels fit what is in view
  })
  element.closest('.card').querySelector('[data-zoom-reset]')?.addEventListener('click', whole)
  element.addEventListener('dblclick', whole)
  brush(element, chart, (from, to) => show(Math.max(0, from), Math.min(view.moments.length - 1, to)))
  if (view.first > 0 || view.last < view.moments.length - 1) told(element, view)
}

function brush(element, chart, chosen) {
  let begun = null
  let band = null
  const at = event => event.clientX - element.getBoundingClientRect().left
  const inside = event => chart.containPixel('grid', [at(event), event.clientY - element.getBoundingClientRect().top])
  const index = x => Math.round(chart.convertFromPixel({ xAxisIndex: 0 }, x))
  const done = () => { begun = null; band?.remove(); band = null }
  element.addEventListener('pointerdown', event => {
    if (event.pointerType === 'mouse' && event.button === 0 && inside(event)) begun = at(event)
  })
  element.addEventListener('pointermove', event => {
    if (begun === null || Math.abs(at(event) - begun) < 6) return
    if (!band) {
      band = element.appendChild(document.createElement('div'))
      band.className = 'chart-band'
      element.setPointerCapture(event.pointerId)
    }
    const here = Math.min(Math.max(at(event), 0), element.clientWidth)
    band.style.left = `${Math.min(begun, here)}px`
    band.style.width = `${Math.abs(here - begun)}px`
  })
  element.addEventListener('pointerup', event => {
    if (band) chosen(...[index(begun), index(at(event))].toSorted((a, b) => a - b))
    done()
  })
  element.addEventListener('pointercancel', done)
}
