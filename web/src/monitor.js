// The bus monitor: frames as they pass, newest first, 200 rows; drawn with each batch, or once a second when more pass than can be read.
const KEEP = 200
const KEPT = 5000 // frames held for export
const MANY = 10
const DRAW_EVERY_MS = 1000
const COLUMNS = ['time', 'gap', 'link', 'way', 'hex', 'note']

const quoted = text => /[",\n]/.test(text) || /^[=+\-@]/.test(text) ? `"${String(text).replaceAll('"', '""')}"` : text

export function start(listen) {
  const panel = document.querySelector('[data-monitor]')
  if (panel.dataset.started) return
  panel.dataset.started = 'yes'
  const find = name => panel.querySelector(`[data-${name}]`)
  const body = panel.querySelector('tbody')
  const [address, filter, way, check, pause, clear, count] = ['address', 'filter', 'way', 'check', 'pause', 'clear', 'count'].map(find)
  const waiting = body.firstElementChild
  const words = JSON.parse(panel.dataset.words)
  let kept = []
  let held = []
  let fresh = []
  let drawing = 0
  let passed = 0

  const wanted = () => {
    const [meter, text] = [address, filter].map(field => field.value.trim().toLowerCase())
    return frame => (!way.value || frame.direction === way.value)
      && (!check.value || (check.value === 'bad' ? frame.check !== 'ok' : frame.check === check.value))
      && (!meter || frame.address.toLowerCase().includes(meter))
      && (!text || `${frame.link} ${frame.hex} ${frame.hex.replaceAll(' ', '')} ${frame.note} ${frame.address}`.toLowerCase().includes(text))
  }

  const blank = document.createElement('tr')
  blank.innerHTML = COLUMNS.map(name => `<td class="${name}"></td>`).join('')
  blank.cells[4].append(document.createElement('a'))
  blank.cells[5].append(Object.assign(document.createElement('span'), { className: 'check-mark' }), '')

  const row = frame => {
    const line = blank.cloneNode(true)
    const cells = line.cells
    line.className = `frame-${frame.direction} check-${frame.check}${frame.mark ? ' marked' : ''}`
    cells[0].textContent = frame.time
    cells[1].textContent = frame.gap === null ? '' : `+${frame.gap} ms`
    cells[2].textContent = frame.link
    cells[3].textContent = words[frame.direction]
    const link = cells[4].firstChild
    link.href = '/frames?hex=' + frame.hex.replaceAll(' ', '')
    link.textContent = frame.hex
    const [mark, note] = cells[5].childNodes
    mark.textContent = frame.check === 'ok' ? '✓' : '✗'
    mark.title = words[frame.check]
    note.data = ' ' + frame.note
    return line
  }

  const draw = frames => {
    const rows = document.createDocumentFragment()
    frames.filter(wanted()).slice(-KEEP).reverse().forEach(frame => rows.append(row(frame)))
    if (rows.childElementCount && !body.dataset.filled) { body.replaceChildren(); body.dataset.filled = 'yes' }
    body.prepend(rows)
    for (let over = body.childElementCount - KEEP; over > 0; over--) body.lastElementChild.remove()
  }

  const drawFresh = () => {
    drawing = 0
    if (fresh.length) { draw(fresh); fresh = [] }
    tell()
  }

  const drawAgain = () => {
    if (!passed) return
    body.replaceChildren()
    draw(paused() ? kept.slice(0, kept.length - held.length) : kept)
    fresh = []
  }

  const paused = () => pause.getAttribute('aria-pressed') === 'true'
  const tell = () => {
    count.textContent = paused() && held.length ? words.held.replace('{n}', held.length) : words.passed.replace('{n}', passed)
  }

  pause.addEventListener('click', () => {
    pause.setAttribute('aria-pressed', !paused())
    pause.textContent = paused() ? words.resume : words.pause
    if (paused()) drawFresh()
    else { draw(held); held = [] }
    tell()
  })
  clear.addEventListener('click', () => {
    kept = []
    held = []
    fresh = []
    passed = 0
    body.replaceChildren(waiting)
    delete body.dataset.filled
    tell()
  })
  for (const field of [address, filter]) field.addEventListener('input', drawAgain)
  for (const field of [way, check]) field.addEventListener('change', drawAgain)

  const files = {
    csv: frames => '\ufeff' + [words.columns, ...frames.map(frame =>
      [frame.at, frame.gap ?? '', frame.link, words[frame.direction], frame.hex, words[frame.check], frame.mark ?? '', frame.note].map(quoted).join(','))].join('\r\n') + '\r\n',
    jsonl: frames => [{ format: 'wattkeeper-recording', version: 1, link: panel.dataset.monitor || frames[0].link, began_at: frames[0].at },
      ...frames.map(frame => ({ at: frame.at, dir: frame.direction, hex: frame.hex.replaceAll(' ', '').toLowerCase(), ...(frame.mark ? { note: frame.mark } : {}), ...(panel.dataset.monitor ? {} : { link: frame.link }) }))]
      .map(line => JSON.stringify(line) + '\n').join(''),
  }
  panel.querySelectorAll('[data-save]').forEach(button => button.addEventListener('click', () => {
    const frames = kept.slice(0, paused() ? kept.length - held.length : kept.length).filter(wanted())
    if (!frames.length) return
    const link = document.createElement('a')
    link.href = URL.createObjectURL(new Blob([files[button.dataset.save](frames)]))
    link.download = `frames-${frames[0].at.slice(0, 19).replace(/[-:]/g, '')}.${button.dataset.save}`
    link.click()
    URL.revokeObjectURL(link.href)
    button.closest('details').open = false
  }))

  listen('traffic', `traffic:${panel.dataset.monitor}`, ({ frames, skipped }) => {
    const mine = panel.dataset.monitor ? frames.filter(frame => frame.link === panel.dataset.monitor) : frames
    if (!mine.length) return
    passed += mine.length + skipped
    kept = kept.concat(mine).slice(-KEPT)
    if (paused()) { held = held.concat(mine).slice(-KEPT); tell(); return }
    fresh = fresh.concat(mine).slice(-KEEP)
    if (!drawing) {
      if (mine.length > MANY) drawing = setTimeout(drawFresh, DRAW_EVERY_MS)
      else drawFresh()
    }
  })
}
