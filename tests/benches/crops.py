"""Crops of ours, theirs and the reference beside each other, as they are and twice as large: `make bench-crops`.

    crops.py SAFELIGHT --folder FOLDER --score SCORE --sharp MODULES [--oximg BINARY]

Writes one PNG sheet for each picture, and a page that shows them all, to FOLDER/crops.
"""

import html

import numpy
from PIL import Image, ImageDraw, ImageFont

import bench
import score
from jobs import job

SIDE = 220
WIDTH = 800
QUALITY = 75
# Picture, format, the centre of the crop as parts of the sides.
CROPS = [
    ("saw.jpg", "jpeg", 0.5, 0.55),
    ("ladybird.jpg", "jpeg", 0.52, 0.5),
    ("dogs.jpg", "jpeg", 0.5, 0.62),
    ("bridge.jpg", "jpeg", 0.5, 0.5),
    ("picos.jpg", "jpeg", 0.6, 0.35),
    ("text.png", "jpeg", 0.3, 0.6),
    ("screenshot.png", "jpeg", 0.3, 0.4),
    ("chart.png", "jpeg", 0.4, 0.3),
    ("saw.jpg", "webp", 0.5, 0.55),
    ("alpha.png", "webp", 0.25, 0.25),
    ("dogs.jpg", "webp", 0.5, 0.62),
    ("saw.jpg", "avif", 0.5, 0.55),
    ("garden.jpg", "avif", 0.6, 0.5),
    ("icon_sheet.png", "avif", 0.2, 0.3),
    ("saw.jpg", "jxl", 0.5, 0.55),
    ("garden.jpg", "jxl", 0.6, 0.5),
    ("dogs.jpg", "jxl", 0.5, 0.62),
    ("alpha.png", "jxl", 0.25, 0.25),
    ("chart.png", "jxl", 0.4, 0.3),
]
# Who does not write a format.
MISSING = {"avif": ("oximg",), "jxl": ("oximg", "sharp")}


def run(measured, group):
    folder = measured.arguments.folder / "crops"
    folder.mkdir(exist_ok=True)
    entries = []
    for source, format, across, down in CROPS:
        wanted = job(measured.pictures, source, WIDTH, format, QUALITY)
        made = {}
        for one in measured.contenders:
            if one.name in MISSING.get(format, ()):
                continue
            file = one.make(wanted)
            shown, = measured.scorer.scores(source, [file])
            made[f"{one.name}, {len(file)} B, {shown:.1f}"] = score.decoded(file)
        made["reference"] = measured.scorer.references.of(source, wanted.width, wanted.height)
        name = f"{source.split('.')[0]}-{format}.png"
        sheet(made, across, down).save(folder / name)
        entries.append((f"{source} to {format}, {WIDTH} px, q{QUALITY}", name))
        print(folder / name, flush=True)
    (folder / "index.html").write_text(page(entries))
    print(folder / "index.html")


def sheet(made, across, down):
    """A column for each: its label, a piece as it is, and the middle of that piece twice as large with its pixels visible."""
    font = ImageFont.load_default(14)
    whole = Image.new("RGB", (len(made) * (2 * SIDE + 8), 3 * SIDE + 36), "#808080")
    pen = ImageDraw.Draw(whole)
    for column, (label, pixels) in enumerate(made.items()):
        picture = _on_checks(pixels)
        at = column * (2 * SIDE + 8)
        pen.text((at + 4, 6), label, fill="white", font=font)
        whole.paste(_cut(picture, across, down, 2 * SIDE, SIDE), (at, 28))
        whole.paste(_cut(picture, across, down, SIDE, SIDE).resize((2 * SIDE, 2 * SIDE), Image.Resampling.NEAREST), (at, 28 + SIDE + 8))
    return whole


def _cut(picture, across, down, width, height):
    left = min(max(0, round(picture.width * across - width / 2)), picture.width - width)
    top = min(max(0, round(picture.height * down - height / 2)), picture.height - height)
    return picture.crop((left, top, left + width, top + height))


def _on_checks(pixels):
    picture = Image.fromarray(pixels)
    if picture.mode != "RGBA":
        return picture
    rows, columns = numpy.indices((picture.height, picture.width)) // 16
    checks = numpy.where((rows + columns) % 2, 255, 192).astype(numpy.uint8)
    ground = Image.fromarray(checks).convert("RGBA")
    return Image.alpha_composite(ground, picture).convert("RGB")


def page(entries):
    figures = "\n".join(f'<h2>{html.escape(title)}</h2>\n<img src="{html.escape(name)}" alt="">' for title, name in entries)
    return f"""<!doctype html>
<meta charset="utf-8">
<title>Crops</title>
<style>body {{ background: #808080; color: white; font-family: sans-serif }} img {{ image-rendering: pixelated }}</style>
<h1>Crops: as they are, and twice as large</h1>
<p>Each with its bytes and its SSIMULACRA2 of the whole picture against the reference.</p>
{figures}
"""


if __name__ == "__main__":
    bench.measure({"crops": run})
