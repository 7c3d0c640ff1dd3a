// Before the first paint: follow the system's light or dark unless the person chose one.
const root = document.documentElement
if (root.dataset.theme !== 'light' && root.dataset.theme !== 'dark') {
  const dark = matchMedia('(prefers-color-scheme: dark)')
  const follow = () => { root.dataset.bsTheme = dark.matches ? 'dark' : 'light' }
  follow()
  dark.addEventListener('change', () => { if (root.dataset.theme === 'auto') follow() })
}
