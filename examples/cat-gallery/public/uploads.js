// Uploads: each file is checked, sent to an upload URL that works once, and shown with its progress.
const TOGETHER = 3
const SILENCE = 60_000 // milliseconds without progress, after which a connection counts as lost
const SUFFIXES = /\.(avif|gif|heic|heif|jpe?g|jxl|png|svg|webp)$/i // some systems know no type for newer formats

const list = document.getElementById('uploads')
const waiting = []
let running = 0

const megabytes = bytes => `${(bytes / 1024 / 1024).toFixed(bytes < 10 * 1024 * 1024 ? 1 : 0)} MB`

// What is wrong with a file, as far as that is known before it is sent.
function refusal(file, maxBytes) {
  if (!file.type.startsWith('image/') && !(file.type === '' && SUFFIXES.test(file.name))) return 'This is not a picture.'
  if (file.size === 0) return 'This file is empty.'
  if (file.size > maxBytes) return `This picture is too large: it has ${megabytes(file.size)}, and ${megabytes(maxBytes)} are allowed.`
  return ''
}

// What the API says, in plain words; and whether another try makes sense.
function reason(status, code) {
  if (code === 5413 || code === 5443 || code === 7011 || status === 413) return ['This picture is too large.', false]
  if (code === 5455) return ['This is not a picture that can be shown here.', false]
  if (code === 9422) return ['This picture is damaged.', false]
  if (status === 0) return ['The connection was lost.', true]
  if (status === 408) return ['The connection was too slow.', true]
  if (status >= 500) return ['The server is busy or out of order.', true]
  return ['The server did not take this picture.', true]
}

class Refusal extends Error {
  constructor(status, code) {
    const [text, mayTryAgain] = reason(status, code)
    super(text)
    Object.assign(this, { status, mayTryAgain })
  }
}

async function uploadUrl() {
  const reply = await fetch('/uploads', { method: 'POST' }).catch(() => ({ ok: false, status: 0 }))
  if (!reply.ok) throw new Refusal(reply.status)
  return (await reply.json()).url
}

function send(url, file, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest() // `fetch` tells nothing of the progress of an upload
    const form = new FormData()
    form.append('file', file, file.name)
    let silence
    const listen = () => { clearTimeout(silence); silence = setTimeout(() => request.abort(), SILENCE) }
    const fail = () => reject(new Refusal(request.status, request.response?.errors?.[0]?.code))
    signal.addEventListener('abort', () => request.abort())
    request.upload.addEventListener('progress', event => { listen(); onProgress(event.loaded / event.total) })
    request.addEventListener('loadend', () => { clearTimeout(silence); request.status === 200 ? resolve() : fail() })
    request.responseType = 'json'
    request.open('POST', url)
    listen()
    request.send(form)
  })
}

function element(name, properties = {}, children = []) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}

// The row of one upload.
function row(file) {
  const url = URL.createObjectURL(file)
  const preview = element('img', { alt: '', src: url })
  preview.addEventListener('load', () => URL.revokeObjectURL(url))
  preview.addEventListener('error', () => { URL.revokeObjectURL(url); preview.classList.add('unknown') })
  const progress = element('progress', { max: 1, value: 0, ariaLabel: `Upload of ${file.name}` })
  const state = element('p', { className: 'state', textContent: 'Waits' })
  state.role = 'status'
  const again = element('button', { type: 'button', textContent: 'Try again', hidden: true })
  const remove = element('button', { type: 'button', textContent: 'Cancel' })
  const about = element('div', {}, [element('p', { className: 'name', textContent: file.name }), progress, state])
  const item = element('li', {}, [preview, about, again, remove])
  list.append(item)
  const tell = (text, kind) => { state.textContent = text; item.className = kind }
  return { item, progress, again, remove, tell }
}

export function upload(file, maxBytes, onDone) {
  const { item, progress, again, remove, tell } = row(file)
  let url = null
  let abort = new AbortController()
  const fail = (text, mayTryAgain) => {
    tell(text, mayTryAgain ? 'failed again' : 'failed')
    progress.hidden = true
    again.hidden = !mayTryAgain
    remove.textContent = 'Dismiss'
  }
  const onProgress = share => {
    progress.value = share
    tell(share < 1 ? `${Math.floor(share * 100)} %` : 'Is being checked', 'sending')
  }
  const run = async () => {
    try {
      url ??= await uploadUrl()
      if (abort.signal.aborted) return
      await send(url, file, onProgress, abort.signal)
    } catch (error) {
      if (abort.signal.aborted) return
      const wasUsed = error.status === 409 // an earlier try arrived, and only its answer was lost
      if (error.status === 410 || error.status === 404) url = null // expired: another try needs another one
      if (!wasUsed) return fail(error.message, error.mayTryAgain ?? true)
    }
    item.remove()
    await onDone()
  }
  const start = () => {
    abort = new AbortController()
    progress.hidden = false
    progress.value = 0
    again.hidden = true
    remove.textContent = 'Cancel'
    tell('Waits', 'sending')
    waiting.push({ run, isGone: () => abort.signal.aborted })
    next()
  }
  again.addEventListener('click', start)
  remove.addEventListener('click', () => { abort.abort(); item.remove() })
  const wrong = refusal(file, maxBytes)
  wrong ? fail(wrong, false) : start()
}

async function next() {
  if (running >= TOGETHER || waiting.length === 0) return
  const { run, isGone } = waiting.shift()
  running += 1
  if (!isGone()) await run()
  running -= 1
  next()
}
