"""Graphics that are measured: fifteen kinds, drawn by code, the same in every run."""

import math
import random

from PIL import Image, ImageDraw, ImageFont

WORDS = "the quick brown fox jumps over a lazy dog while seven wizards brew jasmine tea under grey skies of june".split()
INKS = ["#e6194b", "#3cb44b", "#ffe119", "#4363d8", "#f58231", "#911eb4", "#46f0f0", "#f032e6", "#9a6324", "#800000"]
CLEAR = (0, 0, 0, 0)


def _font(size):
    return ImageFont.load_default(size)


def _smooth(size, draw, mode="RGB", paper="white", scale=4):
    """A drawing with soft edges: drawn `scale` times as large."""
    width, height = size
    page = Image.new(mode, (width * scale, height * scale), paper)
    draw(ImageDraw.Draw(page), scale)
    return page.resize(size, Image.Resampling.BOX)


def text_page(pick):
    page = Image.new("RGB", (1240, 1754), "white")
    pen, top = ImageDraw.Draw(page), 80
    for size, ink in ((54, "#111"), (20, "#222"), (34, "#7a0019"), (20, "#222"), (20, "#0645ad"), (16, "#555")):
        for _ in range(1 if size > 30 else 12):
            line = ""
            while pen.textlength(line, _font(size)) < 1000:
                line += pick.choice(WORDS) + " "
            pen.text((90, top), line, fill=ink, font=_font(size))
            top += int(size * 1.4)
    return page


def _screenshot(pick, paper, ink, panel, accent):
    page = Image.new("RGB", (1440, 900), paper)
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 0, 1440, 52), fill=panel)
    pen.rectangle((0, 52, 240, 900), fill=panel)
    pen.text((20, 14), "Console  /  deployments", fill=ink, font=_font(22))
    pen.rounded_rectangle((10, 196, 230, 232), 8, fill=accent)
    for row in range(14):
        pen.text((28, 78 + row * 42), " ".join(pick.sample(WORDS, 2)), fill=ink, font=_font(17))
    for card in range(9):
        left, top = 270 + card % 3 * 385, 80 + card // 3 * 265
        pen.rounded_rectangle((left, top, left + 360, top + 240), 12, fill=panel, outline="#64748b")
        pen.text((left + 16, top + 12), pick.choice(WORDS).title(), fill=accent, font=_font(20))
        for row in range(6):
            pen.text((left + 16, top + 50 + row * 28), " ".join(pick.sample(WORDS, 6)), fill=ink, font=_font(16))
    return page


def light_screenshot(pick):
    return _screenshot(pick, "#ffffff", "#1f2937", "#f3f4f6", "#2563eb")


def dark_screenshot(pick):
    return _screenshot(pick, "#0f172a", "#e2e8f0", "#1e293b", "#38bdf8")


def code_of_squares(pick):
    side = 41
    page = Image.new("1", (side * 10 + 80,) * 2, 1)
    pen = ImageDraw.Draw(page)
    for place in range(side * side):
        left, top = 40 + place % side * 10, 40 + place // side * 10
        if pick.random() < 0.5:
            pen.rectangle((left, top, left + 9, top + 9), fill=0)
    return page


def bar_chart(pick):
    page = Image.new("RGB", (1000, 700), "white")
    pen = ImageDraw.Draw(page)
    pen.text((300, 12), "Requests per second, by region", fill="#c00000", font=_font(24))
    for line in range(9):
        pen.line((80, 60 + line * 70, 960, 60 + line * 70), fill="#ddd")
        pen.text((30, 52 + line * 70), str(800 - line * 100), fill="#444", font=_font(16))
    for bar, ink in enumerate(INKS):
        left = 100 + bar * 85
        pen.rectangle((left, pick.randint(80, 560), left + 60, 620), fill=ink)
        pen.text((left, 630), pick.choice(WORDS), fill="#222", font=_font(16))
    return page


def line_chart(pick):
    del pick

    def draw(pen, scale):
        for line in range(9):
            pen.line([at * scale for at in (80, 60 + line * 70, 960, 60 + line * 70)], fill="#dddddd", width=scale)
        for line in range(6):
            def height(step, line=line):
                return 340 + 140 * math.sin(step / 9 + line) + 60 * math.sin(step / 3.1 + 2 * line) - 20 * line
            pen.line([((80 + step * 8.8) * scale, height(step) * scale) for step in range(101)], fill=INKS[line], width=2 * scale)
    return _smooth((1000, 700), draw)


def pie_chart(pick):
    del pick

    def draw(pen, scale):
        start = 0
        for part, angle in enumerate((80, 60, 50, 45, 40, 35, 30, 20)):
            box = [at * scale for at in (60, 60, 640, 640)]
            pen.pieslice(box, start, start + angle, fill=INKS[part], outline="white", width=2 * scale)
            start += angle
            pen.rectangle([at * scale for at in (700, 100 + part * 50, 730, 130 + part * 50)], fill=INKS[part])
            pen.text((745 * scale, (104 + part * 50) * scale), WORDS[part].title(), fill="#222222", font=_font(20 * scale))
    return _smooth((1000, 700), draw)


def street_map(pick):
    def draw(pen, scale):
        for _ in range(60):
            x, y, radius, corners = pick.randint(0, 1200), pick.randint(0, 900), pick.randint(30, 140), pick.randint(5, 12)
            turns = [2 * math.pi * corner / corners for corner in range(corners)]
            places = [((x + radius * math.cos(turn)) * scale, (y + radius * math.sin(turn)) * scale) for turn in turns]
            pen.polygon(places, fill=pick.choice(["#d4e7c5", "#e8e4d8", "#aad3df", "#cdebb0"]), outline="#bbbbaa")
        for _ in range(40):
            places = [(pick.randint(0, 1200) * scale, pick.randint(0, 900) * scale) for _ in range(3)]
            pen.line(places, fill=pick.choice(["#ffffff", "#f7c56b", "#e892a2"]), width=pick.choice([3, 5, 8]) * scale)
        for _ in range(60):
            place = (pick.randint(0, 1100) * scale, pick.randint(0, 880) * scale)
            pen.text(place, pick.choice(WORDS).title(), fill="#333333", font=_font(15 * scale))
    return _smooth((1200, 900), draw, paper="#f2efe9", scale=3)


def logo(pick):
    del pick

    def draw(pen, scale):
        pen.ellipse([at * scale for at in (20, 20, 236, 236)], fill=(230, 60, 40, 255))
        pen.ellipse([at * scale for at in (70, 70, 186, 186)], fill=CLEAR)
        pen.rectangle([at * scale for at in (250, 40, 300, 220)], fill=(20, 60, 160, 255))
        pen.text((320 * scale, 80 * scale), "safelight", fill=(30, 30, 30, 255), font=_font(80 * scale))
    return _smooth((720, 256), draw, "RGBA", CLEAR)


def pixel_art(pick):
    page = Image.new("RGB", (96, 64), "#c8dcff")
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 30, 96, 64), fill=INKS[1])
    for _ in range(25):
        left, top, ink = pick.randint(0, 80), pick.randint(5, 50), pick.choice(INKS)
        pen.point([(left + x, top + y) for x in range(10) for y in range(10) if pick.random() < 0.75], fill=ink)
    return page.resize((960, 640), Image.Resampling.NEAREST)


def line_drawing(pick):
    def draw(pen, scale):
        for _ in range(90):
            x, y, turn, places = pick.uniform(0, 1000), pick.uniform(0, 800), pick.uniform(0, 2 * math.pi), []
            for _ in range(60):
                turn += pick.gauss(0, 0.25)
                x, y = x + 9 * math.cos(turn), y + 9 * math.sin(turn)
                places.append((x * scale, y * scale))
            pen.line(places, fill="black", width=pick.choice([1, 2, 3]) * scale)
    return _smooth((1000, 800), draw)


def comic(pick):
    def draw(pen, scale):
        for panel, paper in enumerate(("#87ceeb", "#ffd27f", "#c8e6a0", "#e0b0ff")):
            left, top = 20 + panel % 2 * 490, 20 + panel // 2 * 390
            pen.rectangle([at * scale for at in (left, top, left + 470, top + 370)], fill=paper, outline="black", width=4 * scale)
            for _ in range(6):
                x, y, side = left + pick.randint(20, 380), top + pick.randint(80, 290), pick.randint(30, 80)
                pen.ellipse([at * scale for at in (x, y, x + side, y + side)], fill=pick.choice(INKS), outline="black", width=3 * scale)
            pen.text(((left + 40) * scale, (top + 30) * scale), " ".join(pick.sample(WORDS, 4)).upper(), fill="black", font=_font(18 * scale))
    return _smooth((1000, 800), draw)


def icon_sheet(pick):
    def draw(pen, scale):
        for icon in range(96):
            left, top, ink = 16 + icon % 12 * 80, 16 + icon // 12 * 80, pick.choice(INKS)
            box = [at * scale for at in (left, top, left + 56, top + 56)]
            kind = pick.randint(0, 2)
            if kind == 0:
                pen.ellipse(box, outline=ink, width=5 * scale)
            elif kind == 1:
                pen.rounded_rectangle(box, 12 * scale, fill=ink)
                tick = [(14, 30), (24, 42), (44, 16)]
                pen.line([((left + x) * scale, (top + y) * scale) for x, y in tick], fill="white", width=5 * scale)
            else:
                corners = [(0, 56), (28, 0), (56, 56)]
                pen.polygon([((left + x) * scale, (top + y) * scale) for x, y in corners], outline=ink, width=5 * scale)
    return _smooth((976, 656), draw, "RGBA", CLEAR)


def table(pick):
    page = Image.new("RGB", (1100, 780), "white")
    pen = ImageDraw.Draw(page)
    pen.rectangle((30, 30, 1070, 66), fill="#2f5597")
    for row in range(20):
        if row % 2:
            pen.rectangle((30, 66 + row * 34, 1070, 100 + row * 34), fill="#eef3fa")
        for column in range(6):
            is_head = row == 0 or column == 0
            cell = pick.choice(WORDS).title() if is_head else f"{pick.uniform(0, 9999):,.2f}"
            ink = "white" if row == 0 else "#b00020" if pick.random() < 0.15 else "#222"
            pen.text((42 + column * 173, 38 + row * 34), cell, fill=ink, font=_font(17))
            pen.line((30 + column * 173, 30, 30 + column * 173, 746), fill="#c9d3e3")
    return page


def code_listing(pick):
    page = Image.new("RGB", (1100, 900), "#1e1e1e")
    pen = ImageDraw.Draw(page)
    for row in range(42):
        pen.text((14, 12 + row * 21), str(row + 1), fill="#858585", font=_font(15))
        left = 60 + pick.randint(0, 3) * 30
        for _ in range(pick.randint(0, 9)):
            word = pick.choice(WORDS)
            piece, ink = pick.choice([("let", "#569cd6"), (word, "#9cdcfe"), (word + "()", "#dcdcaa"), (f'"{word}"', "#ce9178"), ("// " + word, "#6a9955")])
            pen.text((left, 12 + row * 21), piece, fill=ink, font=_font(15))
            left += int(pen.textlength(piece + " ", _font(15)))
    return page


DRAWN = [
    text_page, light_screenshot, dark_screenshot, code_of_squares, bar_chart, line_chart, pie_chart, street_map, logo, pixel_art,
    line_drawing, comic, icon_sheet, table, code_listing,
]


def draw(folder):
    """Writes every graphic that is not there yet as an optimised PNG, and returns their names."""
    for make in DRAWN:
        path = folder / f"{make.__name__}.png"
        if not path.exists():
            make(random.Random(7)).save(path, optimize=True)
    return [f"{make.__name__}.png" for make in DRAWN]
