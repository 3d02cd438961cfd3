// The server of the gallery: it keeps the token, which the page never sees. It needs Node 18 or newer and nothing else.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { setTimeout } from 'node:timers/promises'

const { SAFELIGHT = 'http://127.0.0.1:8080', SAFELIGHT_TOKEN, ACCOUNT = 'main', HOST = '127.0.0.1', PORT = '3000' } = process.env
const MAX_BYTES = 20 * 1024 * 1024
const WIDTHS = { thumb: 320, small: 800, large: 2000 }
const TYPES = { html: 'text/html; charset=utf-8', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' }
const FILES = ['index.html', 'gallery.css', 'gallery.js', 'uploads.js', 'lightbox.js', 'picture.js', 'thumbhash.js', 'icon.svg']
const images = new URL(SAFELIGHT).origin
const HEADERS = {
  'content-security-policy': `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: ${images}; connect-src 'self' ${images}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'x-content-type-options': 'nosniff', 'referrer-policy': 'same-origin', 'cache-control': 'no-cache',
}

async function api(method, path, body) {
  const headers = { authorization: `Bearer ${SAFELIGHT_TOKEN}`, 'content-type': 'application/json' }
  const options = { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(10_000) }
  const { success, result, errors } = await (await fetch(`${images}/client/v4/accounts/${ACCOUNT}/images/${path}`, options)).json()
  if (!success) throw new Error(`${method} ${path}: ${errors.map(error => error.message).join(', ')}`)
  return result
}

async function answer(method, { pathname, searchParams }) {
  if (method === 'POST' && pathname === '/uploads') return { url: (await api('POST', 'v2/direct_upload', { max_bytes: MAX_BYTES })).uploadURL }
  if (method !== 'GET' || pathname !== '/images') return
  const list = await api('GET', `v2?${new URLSearchParams({ per_page: 100, sort_order: 'desc', continuation_token: searchParams.get('after') ?? '' })}`)
  const show = ({ id, filename, variants: urls, safelight: { width, height, thumbhash } }) => ({ id, name: filename, width, height, thumbhash,
    variants: Object.keys(WIDTHS).map(name => ({ url: urls.find(url => url.endsWith(`/${name}`)), width: WIDTHS[name] })).filter(variant => variant.url) })
  return { images: list.images.filter(image => !image.requireSignedURLs).map(show), after: list.continuation_token, maxBytes: MAX_BYTES }
}

// Both servers may be started together: as long as nothing listens there, it tries again for some seconds.
const start = tries => api('GET', 'v1/variants').catch(async error => {
  if (tries === 0 || error.message !== 'fetch failed') throw new Error(`safelight at ${images} does not answer as it should: ${error.message}`)
  await setTimeout(500)
  return start(tries - 1)
})
const { variants } = await start(20)
for (const [id, width] of Object.entries(WIDTHS)) if (!variants[id]) await api('POST', 'v1/variants', { id, options: { fit: 'scale-down', width, metadata: 'none' } })

createServer(async (request, response) => {
  const send = (status, type, body) => response.writeHead(status, { ...HEADERS, 'content-type': type }).end(body)
  try {
    const url = new URL(request.url, 'http://gallery'), file = url.pathname === '/' ? 'index.html' : url.pathname.slice(1)
    if (request.method === 'GET' && FILES.includes(file)) return send(200, TYPES[file.split('.')[1]], await readFile(new URL(`public/${file}`, import.meta.url)))
    const found = await answer(request.method, url)
    send(found ? 200 : 404, 'application/json', JSON.stringify(found ?? { error: 'there is nothing here' }))
  } catch (error) {
    console.error(error.message)
    send(502, 'application/json', JSON.stringify({ error: 'safelight does not answer as it should' }))
  }
}).listen(Number(PORT), HOST, function () { console.log(`gallery: http://${HOST}:${this.address().port}`) })
