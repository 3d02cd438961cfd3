// One picture over the whole window. `dialog` brings Esc, keeps the focus inside, and gives it back.
import { picture, placeholder, ratio, replace } from './picture.js'

const SWIPE = 50 // pixels
const box = document.getElementById('lightbox')
const figure = box.querySelector('figure')
const part = id => document.getElementById(id)
let images = []
let at = 0

function show(index) {
  at = index
  const image = images[at]
  const copy = placeholder(image)
  const img = picture(image, `min(100vw, ${(100 * ratio(image)).toFixed(1)}vh)`, 'eager')
  figure.style.setProperty('--ratio', ratio(image).toFixed(4))
  replace(copy, img)
  figure.replaceChildren(copy, img)
  part('caption').textContent = `${image.name ?? ''} · ${at + 1} of ${images.length}`
  part('previous').disabled = at === 0
  part('next').disabled = at === images.length - 1
}

function step(by) {
  const index = at + by
  if (index >= 0 && index < images.length) show(index)
}

export function openLightbox(all, id) {
  images = all
  show(images.findIndex(image => image.id === id))
  box.showModal()
}

box.addEventListener('keydown', event => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
  if (by) { event.preventDefault(); step(by) }
})
box.addEventListener('close', () => figure.replaceChildren())
box.addEventListener('click', event => { if (event.target === box || event.target === figure) box.close() })
part('close').addEventListener('click', () => box.close())
part('previous').addEventListener('click', () => step(-1))
part('next').addEventListener('click', () => step(1))
let start = 0
box.addEventListener('touchstart', event => { start = event.touches.length === 1 ? event.touches[0].clientX : NaN }, { passive: true })
box.addEventListener('touchend', event => {
  const moved = event.changedTouches[0].clientX - start
  if (Math.abs(moved) > SWIPE) step(moved < 0 ? 1 : -1)
}, { passive: true })
