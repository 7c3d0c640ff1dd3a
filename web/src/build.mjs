// Bundle the console's JavaScript, and copy what npm brought ready-made, to where the wheel takes it from.
import { build } from 'esbuild'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const here = path => fileURLToPath(new URL(path, import.meta.url))
const dist = here('../../src/wattkeeper/web/static/dist/')
const fonts = here('../../src/wattkeeper/billing/fonts/')
const modules = here('../node_modules/')

for (const folder of [dist, fonts]) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
}

await build({
  entryPoints: [here('console.js')],
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  outdir: dist,
})

for (const file of [
  'htmx.org/dist/htmx.min.js',
  '@tabler/core/dist/css/tabler.min.css',
  '@tabler/core/dist/js/tabler.min.js',
]) cpSync(modules + file, dist + file.split('/').at(-1))

// The documents' Chinese font (SIL Open Font Licence), in the two weights a bill uses.
const noto = '@expo-google-fonts/noto-sans-sc/'
cpSync(modules + noto + '400Regular/NotoSansSC_400Regular.ttf', fonts + 'NotoSansSC-Regular.ttf')
cpSync(modules + noto + '700Bold/NotoSansSC_700Bold.ttf', fonts + 'NotoSansSC-Bold.ttf')
cpSync(modules + noto + 'LICENSE_FONT', fonts + 'OFL.txt')
