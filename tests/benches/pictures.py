"""The pictures that are measured: photographs and drawings from packages, and what is made of them. None is kept in the repository."""

import math
import pathlib
import shutil

import imagecodecs
import numpy
from PIL import Image, ImageDraw, ImageFont

import graphics
import packages

ROOT = pathlib.Path(__file__).resolve().parents[2]
MATE = "usr/share/backgrounds/mate"
LOMIRI = "usr/share/backgrounds"
PLASMA = "usr/share/wallpapers"

# Markers of JPEG. The last of the application's own segments, which tells how colours are coded, is no metadata.
START_OF_SCAN = 0xDA
METADATA = {*range(0xE1, 0xEE), 0xFE}

# Mosaics are large on purpose.
Image.MAX_IMAGE_PIXELS = None

# Name, package, file in it. Licences stand in README.md.
FOUND = [
    ("saw.jpg", "npm:sharp@0.0.1", "tests/2569067123_aca715a2ee_o.jpg"),
    ("ladybird.jpg", "mate-backgrounds", f"{MATE}/nature/LadyBird.jpg"),
    ("twowings.jpg", "mate-backgrounds", f"{MATE}/nature/TwoWings.jpg"),
    ("wood.jpg", "mate-backgrounds", f"{MATE}/nature/Wood.jpg"),
    ("yellowflower.jpg", "mate-backgrounds", f"{MATE}/nature/YellowFlower.jpg"),
    ("garden.jpg", "mate-backgrounds", f"{MATE}/nature/Garden.jpg"),
    ("storm.jpg", "mate-backgrounds", f"{MATE}/nature/Storm.jpg"),
    ("raindrops.jpg", "mate-backgrounds", f"{MATE}/nature/RainDrops.jpg"),
    ("freshflower.jpg", "mate-backgrounds", f"{MATE}/nature/FreshFlower.jpg"),
    ("gulp.png", "mate-backgrounds", f"{MATE}/abstract/Gulp.png"),
    ("bridge.jpg", "lomiri-wallpapers-16.04", f"{LOMIRI}/Bridge_by_Sander_Klootwijk.jpg"),
    ("dragonfly.jpg", "lomiri-wallpapers-16.04", f"{LOMIRI}/Dragonfly_by_Bolly.jpg"),
    ("picos.jpg", "lomiri-wallpapers-16.04", f"{LOMIRI}/picosdeeuropa_by_Aitzol_Berasategi.jpg"),
    ("wine.jpg", "lomiri-wallpapers-16.04", f"{LOMIRI}/Wine_by_Jakkub_Mede.jpg"),
    ("umang.jpg", "lomiri-wallpapers-16.04", f"{LOMIRI}/umang_by_Abhishek_Mudgal.jpg"),
    ("dogs.jpg", "examples", "examples/photos/dogs.jpg"),
    ("dandelion.jpg", "examples", "examples/photos/dandelion.jpg"),
]

# Name, package, file in it: pictures on which nothing was tuned. Numbers that are told of come from these.
OTHERS = [
    ("kleiber.jpg", "lomiri-wallpapers-20.04", f"{LOMIRI}/Kleiber_by_Lukas_Baubkus.jpg"),
    ("sea.jpg", "lomiri-wallpapers-20.04", f"{LOMIRI}/Infinite-Sea_by_Aury88.jpg"),
    ("fig.jpg", "lomiri-wallpapers-16.04", f"{LOMIRI}/Picture_0B_by_freespace.jpg"),
    ("aitzgorri.jpg", "lomiri-wallpapers-16.04", f"{LOMIRI}/aitzgorri_by_Aitzol_Berasategi.jpg"),
    ("free.jpg", "lomiri-wallpapers-16.04", f"{LOMIRI}/free_by_Peter_Nerlich.jpg"),
    ("clock.jpg", "lomiri-wallpapers-16.04", f"{LOMIRI}/greentock_by_Peter_Nerlich.jpg"),
    ("life.jpg", "lomiri-wallpapers-16.04", f"{LOMIRI}/life_by_Aitzol_Berasategi.jpg"),
    ("sunset.jpg", "lomiri-wallpapers-16.04", f"{LOMIRI}/sunset_by_Aitzol_Berasategi.jpg"),
    ("aqua.jpg", "mate-backgrounds", f"{MATE}/nature/Aqua.jpg"),
    ("blinds.jpg", "mate-backgrounds", f"{MATE}/nature/Blinds.jpg"),
    ("dune.jpg", "mate-backgrounds", f"{MATE}/nature/Dune.jpg"),
    *((f"{name.lower()}.jpg", "plasma-workspace-wallpapers", f"{PLASMA}/{name}/contents/images/2560x1600.jpg") for name in (
        "BytheWater", "ColdRipple", "ColorfulCups", "EveningGlow", "FallenLeaf", "Grey", "Kite", "OneStandsOut", "Path", "summer_1am",
    )),
    ("altai.png", "plasma-workspace-wallpapers", f"{PLASMA}/Altai/contents/images/1080x1920.png"),
    ("kay.png", "plasma-workspace-wallpapers", f"{PLASMA}/Kay/contents/images/1080x1920.png"),
    ("konqui.png", "plasma-workspace-wallpapers", f"{PLASMA}/FlyingKonqui/contents/images/1920x1200.png"),
    ("stripes.jpg", "lomiri-wallpapers-20.04", f"{LOMIRI}/Painting-Colors_by__herobrine7gamer.jpg"),
    ("mate.png", "mate-backgrounds", f"{MATE}/desktop/Ubuntu-Mate-Cold-no-logo.png"),
]

DRAWINGS = ["umang.jpg", "gulp.png", "text.png", "screenshot.png", "chart.png"]
PHOTOGRAPHS = [name for name, _, _ in FOUND if name not in DRAWINGS]
GRAPHICS = ["altai.png", "kay.png", "konqui.png", "stripes.jpg", "mate.png", "code.png", "plot.png", "badge.png"]
# Drawn by `graphics.py`, without loss.
DRAWN = [f"{make.__name__}.png" for make in graphics.DRAWN]
HOLD_OUT = [name for name, _, _ in OTHERS if name not in GRAPHICS]
ANIMATIONS = ["film.gif", "dissolve.gif", "cartoon.gif", "typing.gif", "spinner.gif"]


def gather(folder):
    """Makes `folder`/pictures complete and returns it."""
    place = folder / "pictures"
    place.mkdir(parents=True, exist_ok=True)
    for name, package, member in FOUND + OTHERS:
        if not (place / name).exists():
            found = (_unpacked(package, folder) / member).read_bytes()
            (place / name).write_bytes(_plain(found) if name.endswith(".jpg") else found)
    graphics.draw(place)
    for name, make in MADE.items():
        if not (place / name).exists():
            part = place / f".part-{name}"
            make(place, part)
            part.rename(place / name)
    return place


def width_of(place, name):
    with Image.open(place / name) as picture:
        return picture.width


def _unpacked(package, folder):
    if package == "examples":
        return ROOT
    if package.startswith("npm:"):
        return packages.npm(package.removeprefix("npm:"), folder)
    return packages.debian(package, folder)


def _plain(jpeg):
    """Without profile, EXIF and the like: what is measured is pixels, and programs differ in what they make of a profile."""
    kept, at = [jpeg[:2]], 2
    while jpeg[at + 1] != START_OF_SCAN:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        if jpeg[at + 1] not in METADATA:
            kept.append(jpeg[at:end])
        at = end
    return b"".join(kept) + jpeg[at:]


def _photograph(place, name):
    return Image.open(place / name).convert("RGB")


def _mosaic(sides):
    """The saw, mirrored so that edges meet, `sides` times in each direction: a large baseline JPEG with as much detail everywhere."""
    def make(place, part):
        tile = _photograph(place, "saw.jpg")
        whole = Image.new("RGB", (tile.width * sides, tile.height * sides))
        for row in range(sides):
            for column in range(sides):
                piece = tile
                if column % 2:
                    piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
                if row % 2:
                    piece = piece.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
                whole.paste(piece, (column * tile.width, row * tile.height))
        whole.save(part, "JPEG", quality=90, subsampling="4:2:0")
    return make


def _baseline(place, part):
    """The saw itself as the mosaics are: size and nothing else differs between them."""
    _mosaic(1)(place, part)


def _cover(picture, width, height):
    scale = max(width / picture.width, height / picture.height)
    left, top = (picture.width - width / scale) / 2, (picture.height - height / scale) / 2
    box = (left, top, left + width / scale, top + height / scale)
    return picture.resize((width, height), Image.Resampling.LANCZOS, box)


def _alpha(place, part):
    """A photograph that fades towards its corners."""
    width, height = 1672, 1254
    picture = _cover(_photograph(place, "saw.jpg"), width, height)
    across = (numpy.arange(width) - width / 2) / (width / 2)
    down = (numpy.arange(height) - height / 2) / (height / 2)
    distance = numpy.hypot(across[None, :], down[:, None])
    opacity = numpy.clip((1.05 - distance) * 4, 0, 1) * 255
    picture.putalpha(Image.fromarray(opacity.round().astype(numpy.uint8)))
    picture.save(part, "PNG", compress_level=6)


def _webp(place, part):
    _cover(_photograph(place, "ladybird.jpg"), 1920, 1080).save(part, "WEBP", quality=82, method=4)


def _animation(place, part):
    """A camera that moves over a photograph: every pixel of every frame changes, as in a piece of film."""
    picture = _cover(_photograph(place, "twowings.jpg"), 960, 720)
    frames, count = [], 36
    for index in range(count):
        turn = 2 * math.pi * index / count
        zoom = 1.5 + 0.3 * math.sin(turn)
        width, height = 480 * zoom, 360 * zoom
        left, top = (960 - width) * (0.5 + 0.4 * math.cos(turn)), (720 - height) * (0.5 + 0.4 * math.sin(turn))
        frame = picture.resize((480, 360), Image.Resampling.BICUBIC, (left, top, left + width, top + height))
        frames.append(frame.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG))
    frames[0].save(part, "GIF", save_all=True, append_images=frames[1:], duration=70, loop=0)


def _deep(name):
    """10 bits from 8: the mean of four pixels has the other two."""
    def make(place, part):
        samples = numpy.asarray(_photograph(place, name), dtype=numpy.uint16)
        samples = samples[: samples.shape[0] // 2 * 2, : samples.shape[1] // 2 * 2]
        deep = samples[0::2, 0::2] + samples[1::2, 0::2] + samples[0::2, 1::2] + samples[1::2, 1::2]
        part.write_bytes(imagecodecs.avif_encode(deep, level=85, speed=8, bitspersample=10, pixelformat="420"))
    return make


def _text(place, part):
    page = Image.new("RGB", (1920, 1440), "white")
    pen = ImageDraw.Draw(page)
    words = "Ask for a picture and get the smallest one that looks right, made once and kept for all who ask again. ".split()
    top, index = 60, 0
    for size in (72, 48, 36, 28, 24, 20, 16):
        font = ImageFont.load_default(size)
        for _ in range(3):
            line = ""
            while pen.textlength(line, font) < 1700:
                line += words[index % len(words)] + " "
                index += 1
            pen.text((80, top), line.rsplit(" ", 2)[0], fill="#222222" if size > 20 else "#0b3d91", font=font)
            top += size * 1.35
    page.save(part, "PNG")


def _screenshot(place, part):
    page = Image.new("RGB", (1920, 1200), "#f3f4f6")
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 0, 1920, 56), "#1f2937")
    pen.text((24, 14), "safelight / dashboard", fill="white", font=ImageFont.load_default(24))
    small, plain = ImageFont.load_default(16), ImageFont.load_default(20)
    for index in range(12):
        top = 76 + index * 44
        pen.rounded_rectangle((16, top, 264, top + 36), 6, "#dbeafe" if index == 2 else "#ffffff", "#d1d5db")
        pen.text((32, top + 8), f"Section {index + 1}", fill="#1f2937", font=small)
    for index, name in enumerate(("ladybird.jpg", "wood.jpg", "picos.jpg", "dogs.jpg", "umang.jpg", "garden.jpg")):
        left, top = 296 + index % 3 * 540, 76 + index // 3 * 560
        pen.rounded_rectangle((left, top, left + 516, top + 530), 10, "white", "#d1d5db")
        page.paste(_cover(_photograph(place, name), 484, 320), (left + 16, top + 16))
        pen.text((left + 16, top + 352), name, fill="#111827", font=plain)
        for line in range(5):
            pen.text((left + 16, top + 388 + line * 26), f"{line + 1}. width=800, quality=75, format=auto", fill="#4b5563", font=small)
    page.save(part, "PNG")


def _chart(place, part):
    """Flat colours and thin slanted lines, drawn four times as large."""
    scale = 3
    page = Image.new("RGB", (1600 * scale, 1200 * scale), "white")
    pen = ImageDraw.Draw(page)
    for index in range(11):
        level = (100 + index * 100) * scale
        pen.line((150 * scale, level, 1500 * scale, level), "#cccccc", scale)
    for series, color in enumerate(("#e41a1c", "#377eb8", "#4daf4a", "#984ea3", "#ff7f00")):
        points = [((150 + x * 13.5) * scale, (600 + 380 * math.sin(x / (7 + series * 3) + series)) * scale) for x in range(101)]
        pen.line(points, color, 4 * scale, "curve")
        for point in points[::5]:
            pen.ellipse((point[0] - 9 * scale, point[1] - 9 * scale, point[0] + 9 * scale, point[1] + 9 * scale), color)
        pen.rectangle(((200 + series * 240) * scale, 20 * scale, (300 + series * 240) * scale, 60 * scale), color)
        pen.text(((310 + series * 240) * scale, 18 * scale), f"row {series + 1}", fill="black", font=ImageFont.load_default(32 * scale))
    page.resize((1600, 1200), Image.Resampling.BOX).save(part, "PNG")


def _code(place, part):
    """An editor: few colours, small letters with smooth edges."""
    page = Image.new("RGB", (1800, 1200), "#1e1e2e")
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(22)
    words = (("def", "#cba6f7"), ("render", "#89b4fa"), ("(source, recipe):", "#cdd6f4"), ("# the smallest that looks right", "#6c7086"), ('"webp"', "#a6e3a1"))
    for line in range(38):
        pen.text((20, 20 + line * 30), f"{line + 1:3}", fill="#45475a", font=font)
        left = 90 + 40 * (line % 3)
        for index in range(2 + line * 7 % 4):
            word, color = words[(line * 3 + index) % len(words)]
            pen.text((left, 20 + line * 30), word, fill=color, font=font)
            left += pen.textlength(f"{word} ", font)
    page.save(part, "PNG")


def _plot(place, part):
    """Bars and a legend in flat colours, without smooth edges."""
    page = Image.new("RGB", (1600, 1000), "white")
    pen = ImageDraw.Draw(page)
    for index in range(24):
        tall = 120 + index * 137 % 700
        pen.rectangle((60 + index * 62, 920 - tall, 100 + index * 62, 920), ("#0072b2", "#e69f00", "#009e73")[index % 3])
        pen.text((62 + index * 62, 930), f"{tall}", fill="black", font=ImageFont.load_default(20))
    pen.line((50, 920, 1560, 920), "black", 3)
    page.save(part, "PNG")


def _badge(place, part):
    """A logo on nothing."""
    scale = 4
    page = Image.new("RGBA", (1600 * scale // 2, 1600 * scale // 2))
    pen = ImageDraw.Draw(page)
    whole = page.width
    pen.ellipse((0.05 * whole, 0.05 * whole, 0.95 * whole, 0.95 * whole), "#d62828", "#003049", whole // 40)
    pen.regular_polygon((whole / 2, whole / 2, whole / 3), 5, 0, "#fcbf49", "#003049", whole // 80)
    pen.text((whole * 0.33, whole * 0.45), "safe light", fill="#003049", font=ImageFont.load_default(whole // 13))
    page.resize((1600, 1600), Image.Resampling.BOX).save(part, "PNG")


def _gif(frames, part, colors=256, dither=Image.Dither.FLOYDSTEINBERG, duration=80):
    frames = [frame.quantize(colors, method=Image.Quantize.MEDIANCUT, dither=dither) for frame in frames]
    frames[0].save(part, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0)


def _film(place, part):
    """A camera that moves over a photograph with much detail."""
    picture = _cover(_photograph(place, "eveningglow.jpg"), 1000, 625)
    boxes = [(index * 14, index * 6, 480 + index * 14, 300 + index * 6) for index in range(30)]
    _gif([picture.resize((480, 300), Image.Resampling.BICUBIC, box) for box in boxes], part)


def _dissolve(place, part):
    """Photographs that fade into each other, and stay a while: whole frames change, or nothing does."""
    shown = [_cover(_photograph(place, name), 480, 320) for name in ("fig.jpg", "kite.jpg", "aqua.jpg")]
    frames = []
    for index, picture in enumerate(shown):
        after = shown[(index + 1) % len(shown)]
        frames += [picture] * 4 + [Image.blend(picture, after, step / 8) for step in range(1, 8)]
    _gif(frames, part)


def _cartoon(place, part):
    """Flat figures that move over a flat ground."""
    frames = []
    for index in range(30):
        page = Image.new("RGB", (1200, 900), "#bde0fe")
        pen = ImageDraw.Draw(page)
        pen.rectangle((0, 660, 1200, 900), "#70e000")
        turn = 2 * math.pi * index / 30
        pen.ellipse((900, 60, 1080, 240), "#ffd60a")
        left, top = 450 + 300 * math.cos(turn), 500 - 200 * abs(math.sin(turn * 2))
        pen.ellipse((left, top, left + 180, top + 180), "#e63946", "#1d3557", 9)
        pen.rectangle((90 + index * 12, 540, 330 + index * 12, 660), "#457b9d", "#1d3557", 9)
        frames.append(page.resize((400, 300), Image.Resampling.BOX))
    _gif(frames, part, 64, Image.Dither.NONE)


def _typing(place, part):
    """A recording of a screen on which letters appear."""
    text = "$ safelight warm --accept avif sources.txt\n128 pictures, 4 widths: 512 made, 0 failed\n$ curl -sI https://img/cat.jpg\nHTTP/1.1 200 OK"
    frames = []
    for index in range(0, len(text), 4):
        page = Image.new("RGB", (640, 360), "#0d1117")
        ImageDraw.Draw(page).multiline_text((20, 20), text[: index + 4], fill="#c9d1d9", font=ImageFont.load_default(22), spacing=10)
        frames.append(page)
    _gif(frames, part, 32, Image.Dither.NONE, 60)


def _spinner(place, part):
    """A wheel of dots, as pages show while they wait."""
    frames = []
    for index in range(12):
        page = Image.new("RGB", (960, 960), "white")
        pen = ImageDraw.Draw(page)
        for dot in range(12):
            turn = 2 * math.pi * dot / 12
            grey = 60 + (dot - index) % 12 * 15
            x, y = 480 + 320 * math.cos(turn), 480 + 320 * math.sin(turn)
            pen.ellipse((x - 60, y - 60, x + 60, y + 60), (grey, grey, grey))
        frames.append(page.resize((400, 400), Image.Resampling.BOX))
    _gif(frames, part, 64, Image.Dither.NONE)


# 10-bit AVIFs, and what they are made of.
DEEP = {f"deep-{name}.avif": f"{name}.jpg" for name in ("saw", "ladybird", "twowings", "wood", "yellowflower", "dogs", "picos")}

# In this order: some are made of others.
MADE = {
    "saw-baseline.jpg": _baseline,
    "mosaic-24.jpg": _mosaic(2),
    "mosaic-97.jpg": _mosaic(4),
    "alpha.png": _alpha,
    "1080.webp": _webp,
    "animation.gif": _animation,
    **{name: _deep(source) for name, source in DEEP.items()},
    "text.png": _text,
    "screenshot.png": _screenshot,
    "chart.png": _chart,
    "code.png": _code,
    "plot.png": _plot,
    "badge.png": _badge,
    "film.gif": _film,
    "dissolve.gif": _dissolve,
    "cartoon.gif": _cartoon,
    "typing.gif": _typing,
    "spinner.gif": _spinner,
}
