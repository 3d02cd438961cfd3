// The gallery: what there is, newest first.
import { openLightbox } from './lightbox.js'
import { picture, placeholder, ratio, replace } from './picture.js'
import { upload } from './uploads.js'

const part = id => document.getElementById(id)
const gallery = part('gallery')
const shown = new Map() // images by their IDs, in the order of the page
let after = null
let maxBytes = Infinity

async function list(token) {
  const reply = await fetch(`/images${token ? `?after=${encodeURIComponent(token)}` : ''}`)
  if (!reply.ok) throw new Error(`the list: ${reply.status}`)
  return reply.json()
}

function tile(image) {
  const item = document.createElement('li')
  const button = document.createElement('button')
  button.type = 'button'
  button.ariaLabel = `Show ${image.name ?? 'picture'}`
  // Through the object model, which a strict policy allows, unlike an attribute.
  item.style.setProperty('--ratio', ratio(image).toFixed(4))
  const copy = placeholder(image)
  const img = picture(image, 'auto, (max-width: 600px) 50vw, 320px', 'lazy')
  replace(copy, img)
  button.append(copy, img)
  button.addEventListener('click', () => openLightbox([...shown.values()], image.id))
  item.append(button)
  return item
}

function tell() {
  const count = shown.size
  part('count').textContent = count ? `${count}${after ? '+' : ''} ${count === 1 ? 'picture' : 'pictures'}` : ''
  part('empty').hidden = count > 0
  part('more').hidden = !after
}

function explain(text, again) {
  const trouble = part('trouble')
  trouble.hidden = !text
  trouble.textContent = text
  if (!text) return
  const button = document.createElement('button')
  button.type = 'button'
  button.textContent = 'Try again'
  button.addEventListener('click', again)
  trouble.append(' ', button)
}

// Pictures that are not shown yet come first or, from an older page of the list, last.
async function load(older) {
  try {
    const found = await list(older ? after : null)
    const fresh = found.images.filter(image => !shown.has(image.id))
    if (older || shown.size === 0) {
      after = found.after
      for (const image of fresh) shown.set(image.id, image)
      gallery.append(...fresh.map(tile))
    } else {
      const before = [...shown]
      shown.clear()
      for (const [id, image] of [...fresh.map(image => [image.id, image]), ...before]) shown.set(id, image)
      gallery.prepend(...fresh.map(tile))
    }
    maxBytes = found.maxBytes
    explain('')
    tell()
  } catch {
    explain('The gallery cannot be reached.', () => load(older))
  }
}

let last = Promise.resolve() // one list after another, so that none is shown twice
const inTurn = older => (last = last.then(() => load(older)))

function add(files) {
  for (const file of files) {
    upload(file, maxBytes, async () => {
      await inTurn(false)
      part('news').textContent = `${file.name} was added.`
    })
  }
}

for (const id of ['choose', 'camera']) {
  part(id).addEventListener('change', event => {
    add([...event.target.files])
    event.target.value = '' // so that the same file can be chosen again
  })
}
const carriesFiles = event => event.dataTransfer?.types.includes('Files')
document.addEventListener('dragover', event => {
  if (!carriesFiles(event)) return
  event.preventDefault()
  document.body.classList.add('dragging')
})
document.addEventListener('dragleave', event => {
  if (!event.relatedTarget) document.body.classList.remove('dragging')
})
document.addEventListener('drop', event => {
  document.body.classList.remove('dragging')
  if (!carriesFiles(event)) return
  event.preventDefault()
  add([...event.dataTransfer.files])
})
document.addEventListener('paste', event => add([...event.clipboardData.files]))
part('more').addEventListener('click', () => inTurn(true))
new IntersectionObserver(entries => {
  if (entries.some(entry => entry.isIntersecting) && after) inTurn(true)
}, { rootMargin: '600px' }).observe(part('more'))
inTurn(false)
