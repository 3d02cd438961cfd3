"""What options make of pictures, beside what Pillow and sharp make of them.

    pictures.py SAFELIGHT SHEETS [--sharp MODULES]

SAFELIGHT is the binary. SHEETS is a folder for contact sheets to look at: source, safelight, Pillow, sharp, and eight times the
difference from Pillow (around grey). MODULES is a `node_modules` folder that holds sharp; without it, its place stays empty. Rows
in which Pillow does by definition the same are checked: sizes must be equal and the mean difference of samples within the bound.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

ROOT = pathlib.Path(__file__).resolve().parents[2]
LANCZOS = Image.Resampling.LANCZOS
BICUBIC = Image.Resampling.BICUBIC


def resized(picture, size, how=LANCZOS, box=None):
    """Reduced as light, in floating point; enlarged as the numbers are stored."""
    if how != LANCZOS:
        return picture.resize(size, how, box)
    box = box or (0, 0, *picture.size)
    # Only what is inside the box has a share.
    picture = picture.crop(box)
    samples = numpy.asarray(picture, numpy.float32) / 255
    light = numpy.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)
    planes = [numpy.asarray(Image.fromarray(plane.astype(numpy.float32)).resize(size, LANCZOS)) for plane in numpy.moveaxis(light, 2, 0)]
    light = numpy.clip(numpy.stack(planes, 2), 0, 1)
    samples = numpy.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return Image.fromarray(numpy.rint(samples * 255).astype(numpy.uint8))


def sized(width, height=None, how=LANCZOS):
    def run(picture):
        tall = height or round(picture.height * width / picture.width)
        return resized(picture, (width, tall), how)
    return run


def inside(width, height, how=LANCZOS):
    def run(picture):
        scale = min(width / picture.width, height / picture.height)
        return resized(picture, (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), how)
    return run


def cover(width, height, center=(0.5, 0.5)):
    def run(picture):
        scale = max(width / picture.width, height / picture.height)
        across, down = round(width / scale), round(height / scale)
        left, top = round((picture.width - across) * center[0]), round((picture.height - down) * center[1])
        return resized(picture, (width, height), box=(left, top, left + across, top + down))
    return run


def cut(left, top, right, bottom):
    return lambda picture: picture.crop((left, top, picture.width - right, picture.height - bottom))


def pad(width, height, color):
    def run(picture):
        small = inside(width, height)(picture)
        canvas = Image.new("RGB", (width, height), color)
        canvas.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
        return canvas
    return run


def turned(*ways):
    def run(picture):
        for way in ways:
            picture = picture.transpose(way)
        return picture
    return run


def table(function):
    def run(picture):
        values = [max(0, min(255, round(function(value / 255) * 255))) for value in range(256)]
        return picture.point(values * len(picture.getbands()))
    return run


def plain_border(picture):
    corner = Image.new("RGB", picture.size, picture.getpixel((0, 0)))
    difference = ImageChops.difference(picture, corner).convert("L").point(lambda value: 255 if value > 12 else 0)
    return picture.crop(difference.getbbox())


def framed(top, right, bottom, left, color):
    return lambda picture: ImageOps.expand(picture, (left, top, right, bottom), color)


def on(color):
    def run(picture):
        return Image.alpha_composite(Image.new("RGBA", picture.size, color), picture.convert("RGBA")).convert("RGB")
    return run


FLIP, MIRROR = Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.FLIP_LEFT_RIGHT
CLOCKWISE, HALF, COUNTER = Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90

# Source, options, Pillow's steps, sharp's steps (method and arguments), bound of the mean difference or None where definitions differ.
ROWS = [
    ("dogs", "width=300,height=300", [inside(300, 300)], [["resize", {"width": 300, "height": 300, "fit": "inside"}]], 3),
    ("dogs", "width=300,height=300,fit=cover", [cover(300, 300)], [["resize", 300, 300]], 3),
    ("dogs", "width=300,height=300,fit=cover,gravity=left", [cover(300, 300, (0, 0.5))], [["resize", {"width": 300, "height": 300, "position": "left"}]], 3),
    ("dogs", "width=100,height=300,fit=cover,gravity=0.3x0.5", [cover(100, 300, (0.3, 0.5))], None, 3),
    ("dogs", "width=100,height=300,fit=cover,gravity=auto", None, [["resize", {"width": 100, "height": 300, "position": "attention"}]], None),
    ("dandelion", "width=300,height=120,fit=cover,gravity=auto", None, [["resize", {"width": 300, "height": 120, "position": "attention"}]], None),
    ("dogs", "width=300,height=120,fit=cover,gravity=entropy", None, [["resize", {"width": 300, "height": 120, "position": "entropy"}]], None),
    ("dogs", "width=300,height=300,fit=pad,background=teal", [pad(300, 300, "teal")], [["resize", {"width": 300, "height": 300, "fit": "contain", "background": "teal"}]], 3),
    ("dogs", "width=300,height=150,fit=squeeze", [sized(300, 150)], [["resize", {"width": 300, "height": 150, "fit": "fill"}]], 3),
    ("little", "width=300,height=300,fit=contain", [inside(300, 300, BICUBIC)], [["resize", {"width": 300, "height": 300, "fit": "inside"}]], 3),
    ("little", "width=300,height=300,fit=scale-up", [inside(300, 300, BICUBIC)], [["resize", {"width": 300, "height": 300, "fit": "outside"}]], 3),
    ("little", "width=300,height=300,fit=crop", [], [], 1),
    ("little", "width=40,height=300,fit=crop,gravity=right", [cut(80, 0, 0, 0)], None, 1),
    ("dogs", "trim=40;60;20;100,width=200", [cut(100, 40, 60, 20), sized(200)], None, 3),
    ("scan", "trim=border", [plain_border], [["trim", {"threshold": 12}]], 1),
    ("scan", "trim=border,trim.border.keep=5,rotate=90", [plain_border], None, None),
    ("dogs", "flip=h,width=300", [turned(MIRROR), sized(300)], [["flop"], ["resize", 300]], 3),
    ("dogs", "flip=v,width=300", [turned(FLIP), sized(300)], [["flip"], ["resize", 300]], 3),
    ("dogs", "rotate=90,width=300", [turned(CLOCKWISE), sized(300)], [["rotate", 90], ["resize", 300]], 3),
    ("dogs", "rotate=180,width=300", [turned(HALF), sized(300)], [["rotate", 180], ["resize", 300]], 3),
    ("dogs", "rotate=270,width=300", [turned(COUNTER), sized(300)], [["rotate", 270], ["resize", 300]], 3),
    ("dogs", "flip=h,rotate=90,width=300", [turned(MIRROR, CLOCKWISE), sized(300)], None, 3),
    ("dogs", "width=300,border.width=10,border.color=red", [sized(300), framed(10, 10, 10, 10, "red")], [["resize", 300], ["extend", {"top": 10, "right": 10, "bottom": 10, "left": 10, "background": "red"}]], 3),
    ("dogs", "width=150,dpr=2,border.top=10,border.left=5,border.color=navy", [sized(300), framed(20, 0, 0, 10, "navy")], None, 3),
    ("fig", "width=300,height=240,fit=squeeze,background=orange", [sized(300, 240), on("orange")], [["resize", {"width": 300, "height": 240, "fit": "fill"}], ["flatten", {"background": "orange"}]], 3),
    ("fig", "width=300,height=240,fit=squeeze,blur=6,background=white", [sized(300, 240), on("white"), lambda picture: picture.filter(ImageFilter.GaussianBlur(6))], [["resize", {"width": 300, "height": 240, "fit": "fill"}], ["flatten", {"background": "white"}], ["blur", 6]], None),
    ("dogs", "width=300,blur=3", [sized(300), lambda picture: picture.filter(ImageFilter.GaussianBlur(3))], [["resize", 300], ["blur", 3]], None),
    ("dogs", "width=300,blur=40", [sized(300), lambda picture: picture.filter(ImageFilter.GaussianBlur(40))], [["resize", 300], ["blur", 40]], None),
    ("dogs", "width=300,sharpen=1", [sized(300), lambda picture: picture.filter(ImageFilter.UnsharpMask(1, 60, 0))], [["resize", 300], ["sharpen"]], None),
    ("dogs", "width=300,sharpen=6", [sized(300), lambda picture: picture.filter(ImageFilter.UnsharpMask(1, 300, 0))], [["resize", 300], ["sharpen", {"sigma": 2}]], None),
    ("dogs", "width=300,brightness=0.5", [sized(300), lambda picture: ImageEnhance.Brightness(picture).enhance(0.5)], [["resize", 300], ["linear", 0.5, 0]], 3),
    ("dogs", "width=300,brightness=1.6", [sized(300), lambda picture: ImageEnhance.Brightness(picture).enhance(1.6)], [["resize", 300], ["linear", 1.6, 0]], 3),
    ("dogs", "width=300,contrast=0.5", [sized(300), table(lambda value: (value - 0.5) * 0.5 + 0.5)], [["resize", 300], ["linear", 0.5, 63.75]], 3),
    ("dogs", "width=300,contrast=1.8", [sized(300), table(lambda value: (value - 0.5) * 1.8 + 0.5)], [["resize", 300], ["linear", 1.8, -102]], 3),
    ("dogs", "width=300,gamma=0.5", [sized(300), table(lambda value: value**0.5)], None, 3),
    ("dogs", "width=300,gamma=2.2", [sized(300), table(lambda value: value**2.2)], None, 3),
    ("dogs", "width=300,saturation=0", [sized(300), lambda picture: ImageEnhance.Color(picture).enhance(0)], [["resize", 300], ["grayscale"]], 4),
    ("dogs", "width=300,saturation=2", [sized(300), lambda picture: ImageEnhance.Color(picture).enhance(2)], [["resize", 300], ["modulate", {"saturation": 2}]], 4),
    ("dogs", "width=300,quality=20", [sized(300), lambda picture: picture.quantize(64).convert("RGB")], [["resize", 300]], None),
]


def sources(folder):
    """Photographs of the examples, none wider than 600 pixels, and two made from them."""
    made = {}
    for name in ("dogs.jpg", "dandelion.jpg", "fig.png"):
        picture = ImageOps.exif_transpose(Image.open(ROOT / "examples/photos" / name))
        picture = picture.convert("RGBA" if name.endswith("png") else "RGB")
        picture.thumbnail((600, 600), LANCZOS)
        made[name.split(".")[0]] = picture
    made["little"] = made["dogs"].resize((120, 80), LANCZOS)
    made["scan"] = Image.new("RGB", (260, 200), (250, 248, 246))
    made["scan"].paste(made["little"], (60, 90))
    for name, picture in made.items():
        picture.save(folder / f"{name}.png")
    return made


def by_sharp(modules, source, steps, out):
    script = """
        const [modules, source, steps, out] = process.argv.slice(1);
        const sharp = require(require.resolve('sharp', { paths: [modules] }));
        let picture = sharp(source);
        (async () => {
            for (const [method, ...values] of JSON.parse(steps)) picture = sharp(await picture[method](...values).png().toBuffer());
            await picture.png().toFile(out);
        })();
    """
    done = subprocess.run(["node", "-e", script, modules, source, json.dumps(steps), out], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)


def labelled(picture, text):
    picture = picture.convert("RGB") if picture.mode != "RGBA" else on("white")(picture)
    tile = Image.new("RGB", (max(310, picture.width), max(60, picture.height) + 16), "#dddddd")
    tile.paste(picture, (0, 16))
    ImageDraw.Draw(tile).text((2, 2), text, fill="black")
    return tile


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("safelight")
    parser.add_argument("sheets", type=pathlib.Path)
    parser.add_argument("--sharp", metavar="MODULES", help="a node_modules folder that holds sharp")
    arguments = parser.parse_args()
    arguments.sheets.mkdir(parents=True, exist_ok=True)
    beyond, lines = [], []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        pictures = sources(folder)
        for index, (name, options, pillow, sharp, bound) in enumerate(ROWS):
            source, out = folder / f"{name}.png", folder / "out.png"
            command = [arguments.safelight, "transform", str(source), f"{options},format=png-force", "-o", str(out)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                print(f"{name} {options}: {done.stderr.strip()}")
                beyond.append(options)
                continue
            made = Image.open(out)
            tiles = [labelled(pictures[name], name), labelled(made, options)]
            difference = None
            if pillow is not None:
                expected = pictures[name]
                for step in pillow:
                    expected = step(expected)
                tiles.append(labelled(expected, "Pillow"))
                if expected.size == made.size:
                    one = numpy.asarray(on("white")(expected.convert("RGBA")), dtype=float)
                    other = numpy.asarray(on("white")(made.convert("RGBA")), dtype=float)
                    difference = numpy.abs(one - other).mean()
                    shown = numpy.clip(128 + 8 * (other - one), 0, 255).astype(numpy.uint8)
                    tiles.append(labelled(Image.fromarray(shown), "8 x (safelight - Pillow)"))
            if sharp is not None and arguments.sharp:
                by_sharp(arguments.sharp, str(source), sharp, str(folder / "sharp.png"))
                tiles.append(labelled(Image.open(folder / "sharp.png"), "sharp"))
            wrong = bound is not None and (difference is None or difference > bound)
            shown = "      " if difference is None else f"{difference:6.2f}"
            print(f"{shown}{' beyond' if wrong else '       '} {name} {options}")
            if wrong:
                beyond.append(options)
            line = Image.new("RGB", (sum(tile.width + 4 for tile in tiles), max(tile.height for tile in tiles) + 4), "white")
            left = 0
            for tile in tiles:
                line.paste(tile, (left, 0))
                left += tile.width + 4
            lines.append(line)
    for start in range(0, len(lines), 6):
        part = lines[start : start + 6]
        sheet = Image.new("RGB", (max(line.width for line in part), sum(line.height for line in part)), "white")
        top = 0
        for line in part:
            sheet.paste(line, (0, top))
            top += line.height
        sheet.save(arguments.sheets / f"sheet-{start // 6 + 1}.png")
    print(f"{len(ROWS)} rows, {len(beyond)} beyond their bound; sheets in {arguments.sheets}")
    sys.exit(1 if beyond else 0)


main()
