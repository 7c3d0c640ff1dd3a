// The bus monitor: frames as they pass, newest first, 200 rows; drawn with each batch, or twice a second when many pass.
const KEEP = 200
const MANY = 10
const DRAW_EVERY_MS = 500

export function start(listen) {
  const panel = document.querySelector('[data-monitor]')
  if (panel.dataset.started) return
  panel.dataset.started = 'yes'
  const body = panel.querySelector('tbody')
  const filter = panel.querySelector('[data-filter]')
  const pause = panel.querySelector('[data-pause]')
  const count = panel.querySelector('[data-count]')
  const words = JSON.parse(panel.dataset.words)
  let held = []
  let fresh = []
  let drawing = 0
  let passed = 0

  const row = frame => {
    const line = document.createElement('tr')
    line.className = `frame-${frame.direction}`
    const texts = [frame.time, frame.link, words[frame.direction], frame.hex, frame.note]
    texts.forEach((text, column) => {
      const cell = line.insertCell()
      cell.className = ['time', 'link', 'way', 'hex', 'note'][column]
      if (column === 3) {
        const link = cell.appendChild(document.createElement('a'))
        link.href = '/frames?hex=' + frame.hex.replaceAll(' ', '')
        link.textContent = text
      } else cell.textContent = text
    })
    line.dataset.search = `${frame.link} ${frame.hex} ${frame.hex.replaceAll(' ', '')} ${frame.note} ${frame.address}`.toLowerCase()
    line.hidden = !line.dataset.search.includes(filter.value.trim().toLowerCase())
    return line
  }

  const draw = frames => {
    const rows = document.createDocumentFragment()
    frames.slice(-KEEP).reverse().forEach(frame => rows.append(row(frame)))
    body.prepend(rows)
    for (let over = body.childElementCount - KEEP; over > 0; over--) body.lastElementChild.remove()
  }

  const drawFresh = () => {
    drawing = 0
    if (fresh.length) { draw(fresh); fresh = [] }
    tell()
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
  filter.addEventListener('input', () => {
    const wanted = filter.value.trim().toLowerCase()
    for (const line of body.rows) line.hidden = !line.dataset.search?.includes(wanted)
  })
  listen('traffic', `traffic:${panel.dataset.monitor}`, ({ frames, skipped }) => {
    const mine = panel.dataset.monitor ? frames.filter(frame => frame.link === panel.dataset.monitor) : frames
    if (!mine.length) return
    passed += mine.length + skipped
    if (!body.dataset.filled) { body.replaceChildren(); body.dataset.filled = 'yes' }
    if (paused()) { held = held.concat(mine).slice(-KEEP); tell(); return }
    fresh = fresh.concat(mine).slice(-KEEP)
    if (!drawing) {
      if (mine.length > MANY) drawing = setTimeout(drawFresh, DRAW_EVERY_MS)
      else drawFresh()
    }
  })
}
