// The portal's two buttons. Everything else is links, so that the pages work before this has come.
const root = document.documentElement

document.addEventListener('click', async event => {
  const button = event.target.closest('[data-act]')
  if (button?.dataset.act === 'theme') {
    const next = root.dataset.bsTheme === 'dark' ? 'light' : 'dark'
    root.dataset.theme = root.dataset.bsTheme = next
    document.cookie = `theme=${next}; path=/; max-age=31536000; samesite=lax`
  }
  if (button?.dataset.act === 'copy') {
    await navigator.clipboard?.writeText(button.dataset.text)
    button.textContent = button.dataset.done
  }
})
