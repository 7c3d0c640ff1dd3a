// One event stream per browser: the tab that holds the lock listens for all, and passes events on to the others.
// What tabs want ("tick", "meter:12", "traffic:north") is held as shared locks, which a closed tab cannot forget.
const STREAM = 'wattkeeper-stream'
const WANT = 'wattkeeper-want:'
const channel = new BroadcastChannel('wattkeeper-live')
const listeners = new Map()
const wanted = new Set()
const shared = Boolean(navigator.locks)
let source = null
let leading = false
let following = ''

const hand = ({ topic, message }) => listeners.get(topic)?.forEach(listener => listener(message))

async function topics() {
  if (!shared) return [...wanted]
  const { held } = await navigator.locks.query()
  return held.filter(lock => lock.name.startsWith(WANT)).map(lock => lock.name.slice(WANT.length))
}

async function follow() {
  const want = [...new Set(await topics())].sort().join(',')
  if (want === following && source && source.readyState !== EventSource.CLOSED) return
  source?.close()
  following = want
  source = want ? new EventSource('/events?topics=' + encodeURIComponent(want)) : null
  if (!source) return
  for (const topic of ['tick', 'readings', 'meters', 'alarms', 'commands', 'traffic']) {
    source.addEventListener(topic, event => {
      const parcel = { topic, message: JSON.parse(event.data) }
      hand(parcel)
      channel.postMessage(parcel)
    })
  }
  source.addEventListener('open', () => connected(true))
  source.addEventListener('error', () => connected(false))
}

function connected(yes) {
  hand({ topic: 'connected', message: yes })
  channel.postMessage({ topic: 'connected', message: yes })
}

channel.addEventListener('message', ({ data }) => {
  if (data.topic === 'wants') { if (leading) follow() } else hand(data)
})

function changed() {
  if (leading) follow()
  else channel.postMessage({ topic: 'wants' })
}

// Listen for `topic` events; `want` names what the server should send.
export function listen(topic, want, listener) {
  if (!listeners.has(topic)) listeners.set(topic, new Set())
  listeners.get(topic).add(listener)
  if (!want || wanted.has(want)) return
  wanted.add(want)
  if (shared) {
    navigator.locks.request(WANT + want, { mode: 'shared' }, () => { changed(); return new Promise(() => {}) })
  } else changed()
}

const lead = () => {
  leading = true
  follow()
  setInterval(follow, 10_000) // topics of closed tabs fall away, and a stream the server ended is opened again
  return new Promise(() => {})
}

if (shared) navigator.locks.request(STREAM, lead)
else lead()
// A page in the back-forward cache must not hold the stream.
addEventListener('pagehide', () => source?.close())
addEventListener('pageshow', event => { if (event.persisted) location.reload() })
