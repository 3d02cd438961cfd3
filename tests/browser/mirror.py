"""A web site, made by code: pages in folders, styles, scripts, a font, a film, a paper, and pictures under names as people give them."""

import pathlib
import shutil
import sys

import av
import numpy
from PIL import Image, ImageDraw

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/benches"))
import packages

PHOTOS = ROOT / "examples/photos"

# Pictures that the gallery shows, as its links name them.
GALLERY = [
    "photos/dandelion.jpg?width=600",
    "/photos/dogs.jpg",
    "photos/mountains.jpg?v=3",
    "/photos/fig.png",
    "photos/2026/a%20b%20%C3%BC%20(1).png",
    "/photos/2026/100%25%20wool+silk.webp",
    "photos/2026/it's,%20$5%20&%20[x]~.png",
    "/photos/2026/what%3F%231.png",
    "photos/2026/a%2520b.png",
    "/Fotos/Gr%C3%B6%C3%9Fe/%E6%97%A5%E6%9C%AC.jpg",
    "photos/moving.gif",
    "/photos/drawing.svg?v=2",
]

INDEX = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Mirror</title><link rel="icon" href="/favicon.ico">
<link rel="stylesheet" href="style/main.css?v=3"><script type="module" src="/script/app.js?v=3"></script></head>
<body><h1>Häuser &amp; Hügel</h1><p><a href="about/index.html">About</a> <a href="/papers/Report%202026%20(final).pdf">Report</a></p>
<main>{gallery}
<img alt="" width="400" src="photos/dandelion.jpg?width=400" srcset="photos/dandelion.jpg?width=400 400w, photos/dandelion.jpg?width=800 800w" sizes="400px">
<picture><source type="image/webp" srcset="photos/2026/100%25%20wool+silk.webp"><img alt="" src="photos/dogs.jpg"></picture>
</main><div id="painted"></div><video id="film" src="film/clip.mp4" preload="auto" muted controls width="320"></video></body></html>
"""
ABOUT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>About</title><link rel="icon" href="../favicon.ico"><link rel="stylesheet" href="../style/main.css">
<script src="../script/classic.js"></script></head>
<body><h1>About</h1><p><a href="../index.html">Home</a></p><main><img alt="" src="../photos/mountains.jpg"><img alt="" src="more/near.jpg"></main></body></html>
"""
STYLE = """@import url("parts/colors.css");
@font-face { font-family: site; src: url("../font/site.ttf") format("truetype") }
body { font-family: site, serif; margin: 16px; background: #fff }
main { display: flex; flex-wrap: wrap; align-items: start; gap: 8px }
main img { max-width: 280px; max-height: 200px }
#painted { width: 200px; height: 120px; margin: 8px 0; background: url(/photos/mountains.jpg) center / cover }
"""
COLORS = "h1 { color: rgb(10, 20, 130) }\n"
SCRIPT = """import { sum } from './parts.mjs?v=3';
const list = await (await fetch('../data/list.json')).json();
const made = await WebAssembly.instantiateStreaming(fetch('/script/answer.wasm'));
const worker = new Worker('/script/worker.js');
const doubled = await new Promise(resolve => { worker.onmessage = event => resolve(event.data); worker.postMessage(21); });
document.documentElement.dataset.ran = [sum(...list), made.instance.exports.answer(), doubled].join();
"""
PARTS = "export const sum = (a, b) => a + b;\n"
WORKER = "onmessage = event => postMessage(2 * event.data);\n"
CLASSIC = "document.documentElement.dataset.ran = 'classic';\n"
# (module (func (export "answer") (result i32) i32.const 42))
WASM = bytes.fromhex("0061736d010000000105016000017f030201000" + "70a0106616e7377657200000a06010400412a0b")
DRAWING = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" width="200" height="120"><rect width="200" height="120" fill="#fd6"/><circle cx="100" cy="60" r="40" fill="#26c"/></svg>
"""
PAPER = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def make(folder, cache):
    """Writes the site into `folder`. `cache` keeps packages between runs."""
    shutil.rmtree(folder, ignore_errors=True)
    texts = {
        "index.html": INDEX.format(gallery="\n".join(f'<img alt="" src="{source}">' for source in GALLERY)),
        "about/index.html": ABOUT,
        "style/main.css": STYLE,
        "style/parts/colors.css": COLORS,
        "script/app.js": SCRIPT,
        "script/parts.mjs": PARTS,
        "script/worker.js": WORKER,
        "script/classic.js": CLASSIC,
        "data/list.json": "[1, 2]",
        "photos/drawing.svg": DRAWING,
    }
    for name, text in texts.items():
        _place(folder, name).write_text(text)
    _place(folder, "script/answer.wasm").write_bytes(WASM)
    _place(folder, "papers/Report 2026 (final).pdf").write_bytes(PAPER)
    font = packages.debian("fonts-dejavu-core", cache) / "usr/share/fonts/truetype/dejavu/DejaVuSerif.ttf"
    shutil.copy(font, _place(folder, "font/site.ttf"))
    for name in ("dandelion.jpg", "dogs.jpg", "mountains.jpg", "fig.png"):
        shutil.copy(PHOTOS / name, _place(folder, f"photos/{name}"))
    _pictures(folder)
    _film(_place(folder, "film/clip.mp4"))


def _place(folder, name):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _pictures(folder):
    photo = Image.open(PHOTOS / "mountains.jpg").convert("RGB").resize((640, 360))
    for name in ("a b ü (1).png", "it's, $5 & [x]~.png", "what?#1.png", "a%20b.png"):
        marked = photo.copy()
        ImageDraw.Draw(marked).text((20, 20), name, fill="white", font_size=30)
        marked.save(_place(folder, f"photos/2026/{name}"))
    photo.save(folder / "photos/2026/100% wool+silk.webp", quality=90)
    photo.save(_place(folder, "Fotos/Größe/日本.jpg"), quality=95)
    photo.save(_place(folder, "about/more/near.jpg"), quality=95)
    photo.resize((32, 32)).save(folder / "favicon.ico")
    frames = [photo.resize((200, 112)).rotate(turn) for turn in range(0, 40, 10)]
    frames[0].save(folder / "photos/moving.gif", save_all=True, append_images=frames[1:], duration=120, loop=0)


def _film(path):
    """Three seconds, with the index at the end: browsers look for it by a range."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.bit_rate = 8_000_000
        random = numpy.random.default_rng(1)
        for index in range(75):
            pixels = random.integers(0, 256, (360, 640, 3), numpy.uint8)
            pixels[:, : 8 * index] = (index * 3, 90, 160)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        film.mux(stream.encode())
