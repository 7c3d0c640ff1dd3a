// Global search: a dialog over the page; the server finds, the keyboard chooses.
const finder = document.getElementById('finder')
const field = finder?.querySelector('input')
const links = () => [...finder.querySelectorAll('#hits a')]
const mac = /Mac|iPhone|iPad/.test(navigator.platform)
if (mac) for (const key of document.querySelectorAll('.find kbd')) key.textContent = '⌘ K'

// Open it, or close it when it is open; false on a page that has none.
export function openFinder() {
  if (!finder) return false
  if (finder.open) finder.close()
  else {
    finder.showModal()
    field.select()
    asked = false
    ask()
  }
  return true
}

// htmx starts a moment after the page: somebody quick on the keyboard opens the dialog before it listens.
let asked = false
function ask() {
  if (asked || !finder.open) return
  field.dispatchEvent(new Event('open'))
  setTimeout(ask, 50)
}
finder?.addEventListener('htmx:before:request', () => { asked = true })

function choose(place) {
  const all = links()
  const chosen = all.length ? all[(place + all.length) % all.length] : null
  for (const link of all) link.setAttribute('aria-selected', link === chosen)
  field.setAttribute('aria-expanded', all.length > 0)
  if (chosen) field.setAttribute('aria-activedescendant', chosen.id)
  else field.removeAttribute('aria-activedescendant')
  chosen?.scrollIntoView({ block: 'nearest' })
}

// What is shown may be the answer to fewer letters than are typed by now: then the form asks as a page.
function openChosen(event) {
  const answered = finder.querySelector('[data-for]')?.dataset.for
  const chosen = links().find(link => link.getAttribute('aria-selected') === 'true')
  if (answered === undefined || answered.trim() !== field.value.trim() || !chosen) return
  event.preventDefault()
  chosen.click()
}

finder?.addEventListener('keydown', event => {
  if (event.isComposing) return // Enter then ends a Chinese word
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
  if (step) {
    event.preventDefault()
    choose(links().findIndex(link => link.getAttribute('aria-selected') === 'true') + step)
  }
  if (event.key === 'Enter' && event.target === field) openChosen(event)
  // A search field that holds letters would take the first Escape to clear itself.
  if (event.key === 'Escape') {
    event.preventDefault()
    finder.close()
  }
})

finder?.addEventListener('click', event => {
  if (event.target === finder || event.target.closest('[data-act="find-close"]')) finder.close()
  // A link to a part of the page that is open leaves the page where it is.
  if (event.target.closest('#hits a')) finder.close()
})

finder?.addEventListener('htmx:after:swap', () => {
  choose(0)
  finder.querySelector('[role="status"]').textContent = finder.querySelector('[data-summary]')?.dataset.summary ?? ''
})
