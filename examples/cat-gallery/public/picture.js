// A picture: its place is known before it arrives, and a blurred copy of some 25 bytes is there at once.
import { thumbHashToRGBA } from './thumbhash.js'

// A drawing without a size of its own is shown as a square.
export const ratio = image => image.width > 0 && image.height > 0 ? image.width / image.height : 1

export function picture(image, sizes, loading) {
  const shown = document.createElement('img')
  // No variant is wider than the picture itself.
  const widths = image.variants.map(variant => ({ url: variant.url, width: Math.min(variant.width, image.width || variant.width) }))
  const distinct = widths.filter((one, at) => widths.findIndex(other => other.width === one.width) === at)
  shown.loading = loading // before `src`, or it would be loaded at once
  shown.decoding = 'async'
  shown.alt = image.name ?? ''
  if (image.width && image.height) [shown.width, shown.height] = [image.width, image.height]
  shown.sizes = sizes
  shown.srcset = distinct.map(one => `${one.url} ${one.width}w`).join(', ')
  shown.src = distinct.at(-1)?.url ?? ''
  return shown
}

export function placeholder(image) {
  if (!image.thumbhash) return ''
  const canvas = document.createElement('canvas')
  canvas.ariaHidden = 'true'
  const { w, h, rgba } = thumbHashToRGBA(Uint8Array.from(atob(image.thumbhash), letter => letter.charCodeAt(0)))
  canvas.width = w
  canvas.height = h
  canvas.getContext('2d').putImageData(new ImageData(new Uint8ClampedArray(rgba), w, h), 0, 0)
  return canvas
}

// Takes the blurred copy away when the picture is there: one with transparent parts would show it.
export function replace(canvas, shown) {
  const done = () => { shown.classList.add('loaded'); setTimeout(() => canvas.remove?.(), 400) }
  if (shown.complete && shown.naturalWidth) done()
  else shown.addEventListener('load', done, { once: true })
}
