// Bundle the console's JavaScript and styles, and copy what npm brought ready-made, to where the wheel takes it from.
import { build } from 'esbuild'
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { PurgeCSS } from 'purgecss'

const here = path => fileURLToPath(new URL(path, import.meta.url))
const place = here('../../src/wattkeeper/web/static/dist')
const dist = `${place}.${process.pid}/` // takes the place of the old bundle once it is whole
const fonts = here('../../src/wattkeeper/billing/fonts/')
const modules = here('../node_modules/')

for (const folder of [dist, fonts]) mkdirSync(folder, { recursive: true })

const common = { bundle: true, minify: true, target: 'es2022', outdir: dist }
await Promise.all([
  // Pages without a chart never load the chart library: it is a chunk of its own.
  build({
    ...common, entryPoints: [here('console.js')], format: 'esm', splitting: true, chunkNames: '[name]-[hash]',
  }),
  // Runs before the first paint, so it is a classic script.
  build({ ...common, entryPoints: [here('boot.js'), here('portal.js')], format: 'iife' }),
  build({ ...common, entryPoints: [here('app.css'), here('portal.css')] }),
])

cpSync(modules + 'htmx.org/dist/htmx.min.js', dist + 'htmx.min.js')

// Of Tabler's 635 kB of rules the pages use a ninth, and a browser reads them all before it paints. What stays is every
// rule whose words occur in templates, scripts or the Python beside them; tests/unit/web/test_bundle.py tells when a
// template has begun to use another one and this has to run again. One never stays: its "+ *" makes the
// browser style a whole table anew for each row that comes in, 1,401 elements instead of 180 a batch in the bus monitor.
const web = here('../../src/wattkeeper/web/')
const [tabler] = await new PurgeCSS().purge({
  content: [`${web}templates/**/*.html`, `${web}**/*.py`, here('*.js')],
  css: [modules + '@tabler/core/dist/css/tabler.min.css'],
  blocklist: [/^legend$/], // legend + * { clear: left }
})
writeFileSync(dist + 'tabler.min.css', tabler.css)

for (const file of ['icons.svg', 'mark.svg']) cpSync(here(file), dist + file)

// The server hands these out as they are: compressing 600 kB per request would cost more than the page.
for (const file of readdirSync(dist)) writeFileSync(`${dist}${file}.gz`, gzipSync(readFileSync(dist + file), { level: 9 }))

// The documents' Chinese font (SIL Open Font Licence), in the two weights a bill uses.
const noto = '@expo-google-fonts/noto-sans-sc/'
cpSync(modules + noto + '400Regular/NotoSansSC_400Regular.ttf', fonts + 'NotoSansSC-Regular.ttf')
cpSync(modules + noto + '700Bold/NotoSansSC_700Bold.ttf', fonts + 'NotoSansSC-Bold.ttf')
cpSync(modules + noto + 'LICENSE_FONT', fonts + 'OFL.txt')

rmSync(place, { recursive: true, force: true }) // chunk names change with their content
renameSync(dist, place)
